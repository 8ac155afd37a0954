// The form of a calendar: a file is read when it is chosen, and its days are added to the lines, to be seen before they are kept.

const days = document.querySelector("form.launch [name=days]");

days?.form.addEventListener("uploaded", ({ target, detail }) => {
  const known = new Set(days.value.split("\n").map((line) => line.trim()));
  const { lines } = detail.answer;
  const added = lines.filter((line) => !known.has(line));
  days.value = [days.value.trimEnd(), ...added].filter(Boolean).join("\n");
  const name = target.files[0]?.name ?? "the file";
  const count = added.length === 1 ? "1 line" : `${added.length} lines`;
  detail.words = added.length ? `Added above: ${count} of ${name}. Keep the calendar to store them.` : `All that ${name} says stands above already.`;
  target.value = ""; // what it says is typed now
});
