// A file on its way to the server: how much of it, and what went wrong, in words that every form with files uses.

const MEGA = 1024 * 1024;

/** Returns a number of bytes as people read it. */
export const size = (bytes) => (bytes < MEGA ? `${Math.ceil(bytes / 1024)} KB` : `${(bytes / MEGA).toFixed(1)} MB`);

/** Returns the answer as JSON; null where it is none of ours, but a page of a proxy or of the login. */
export function answerOf(request) {
  try {
    return JSON.parse(request.responseText);
  } catch {
    return null;
  }
}

/** Returns whether the server asked for a login instead of taking the file. */
export function isLoggedOut(request, address) {
  const answered = request.responseURL && new URL(request.responseURL).pathname;
  return request.status === 401 || Boolean(answered && answered !== new URL(address, location.href).pathname);
}

/** Returns why a file was not taken and what helps; `sent` are the bytes that were on their way when the request ended. */
export function whyNot(request, address, sent) {
  const kept = "The file is still chosen: upload it again.";
  if (!request.status) return `The connection broke off after ${size(sent)}. ${kept}`;
  if (isLoggedOut(request, address)) return "You are logged out. Log in in another tab, then upload it again: the file is still chosen.";
  const answer = answerOf(request);
  const said = [answer?.detail, ...Object.values(answer?.errors ?? {}).flat()].filter(Boolean).join(" ");
  if (request.status === 413) return `${said || "The server takes no file as large as this one."} Choose a smaller one.`;
  if (said) return request.status < 500 && request.status !== 429 ? `${said} Choose another file, or upload it again.` : `${said} ${kept}`;
  return `The server could not take the file (${request.status}). ${kept}`;
}
