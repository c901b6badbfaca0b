/* The page's and its tests' lint: make check. */
import js from "@eslint/js";
import globals from "globals";

const PURE = ["axes", "connection", "figure", "fit", "format", "rows", "view"].map((name) => `orderflow/dashboard/page/${name}.js`);
const RULES = {
  ...js.configs.recommended.rules,
  eqeqeq: "error",
  "no-shadow": "error",
  "no-unused-vars": ["error", { caughtErrors: "none", ignoreRestSiblings: true }],
  "no-var": "error",
  "prefer-const": "error",
};

export default [
  { ignores: [".venv/", ".cache/", ".data/"] },
  { files: ["orderflow/dashboard/page/**/*.js"], rules: RULES, languageOptions: { globals: globals.browser } },
  { files: ["tests/page/**/*.js", "eslint.config.js"], rules: RULES, languageOptions: { globals: globals.node } },
  /* What decides knows no page, no socket and no clock. */
  {
    files: PURE,
    rules: { "no-restricted-globals": ["error", "window", "document", "location", "localStorage", "performance", "fetch", "WebSocket", "setTimeout"] },
  },
  /* The page has one door to Plotly. */
  {
    files: ["orderflow/dashboard/page/**/*.js"],
    ignores: ["**/plot.js"],
    rules: { "no-restricted-syntax": ["error", { selector: "MemberExpression[property.name=/^(_fullLayout|_offset|_length|_size|Plotly|[lrp]2[lrp])$/]", message: "Only plot.js knows Plotly." }] },
  },
];
