/* The login page: in the theme and palette that this browser remembers for the dashboard. */
const { dataset } = document.documentElement;
for (const name of ["theme", "palette"]) {
  try {
    const kept = JSON.parse(localStorage.getItem("orderflow." + name) || "null");
    if (typeof kept === "string" && kept !== "auto") dataset[name] = kept;
  } catch (error) {
    /* private mode: the system's theme */
  }
}
