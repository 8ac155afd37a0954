// One way to show moments and shares: as the server does, in its zone, which is named where one points at a time.

const zone = document.documentElement.dataset.zone || undefined;
const parts = { timeZone: zone, hourCycle: "h23", year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" };
const whole = new Intl.DateTimeFormat("sv-SE", parts); // 2026-01-31 23:59:59
const named = new Intl.DateTimeFormat("sv-SE", { ...parts, timeZoneName: "short" });

// How far the clock of this device is ahead of the server's, in milliseconds; less than a second is the way of the page.
const said = Date.parse(document.documentElement.dataset.now ?? "");
const ahead = Number.isNaN(said) || Math.abs(Date.now() - said) < 1500 ? 0 : Date.now() - said;

/** Returns the moment by the server's clock, in milliseconds. */
export const now = () => Date.now() - ahead;

/** Returns the moment as date and time, as the server writes it. */
export const dateTime = (date) => whole.format(date);

/** Returns the time of day to the second. */
export const timeOfDay = (date) => whole.format(date).slice(-8);

/** Returns the moment with the name of the zone. */
export const withZone = (date) => named.format(date);

/** Returns a share of 1 in whole percent, rounded down as the server does it: 100% is said of what is done alone. */
export const percent = (fraction) => `${Math.floor(Math.min(1, Math.max(0, fraction)) * 100 + 1e-9)}%`;
