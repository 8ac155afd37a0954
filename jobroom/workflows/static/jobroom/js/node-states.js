// The characters that stand for the states of nodes, as jobroom/workflows/engine/keys.py has them; a test compares both.

export const STATE = Object.freeze({
  WAITING: "w",
  HELD: "h",
  QUEUED: "q",
  RUNNING: "r",
  EXPANDING: "x",
  APPROVAL: "a",
  EVENT: "e",
  SUCCEEDED: "s",
  SKIPPED: "k",
  FAILED: "f",
  LOST: "l",
  CANCELLED: "c",
  TIMED_OUT: "t",
  BLOCKED: "b",
});

export const ENDED = [
  STATE.SUCCEEDED,
  STATE.SKIPPED,
  STATE.FAILED,
  STATE.LOST,
  STATE.CANCELLED,
  STATE.TIMED_OUT,
  STATE.BLOCKED,
];
