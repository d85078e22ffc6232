// Shows only the rows of one kind, or those that came from the cache.
const buttons = document.querySelectorAll(".filter button");
buttons.forEach((button) =>
  button.addEventListener("click", () => {
    buttons.forEach((one) => one.setAttribute("aria-pressed", one === button));
    document.querySelectorAll(".questions tbody tr").forEach((row) => {
      row.hidden = !row.dataset.tags.split(" ").includes(button.dataset.tag);
    });
  }),
);
