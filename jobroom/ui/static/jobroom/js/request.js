// Requests that a page makes by itself.

const LONGEST_WAIT = 30000; // milliseconds: a connection that is half open gives no answer, and no error

/** Fetches what a page refreshes by itself. Where no answer comes, it says so: the socket is not to be trusted either. */
export async function get(address, options = {}) {
  try {
    return await fetch(address, { redirect: "manual", signal: AbortSignal.timeout(LONGEST_WAIT), ...options });
  } catch (error) {
    dispatchEvent(new Event("unreachable"));
    throw error;
  }
}
