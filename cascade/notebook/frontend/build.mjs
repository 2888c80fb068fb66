/** Source → what ships, in ../static. The same source gives the same bytes, and nothing in them names this machine. */

import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build, transform } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const shipped = join(here, "../static");
const looks = JSON.parse(readFileSync(join(here, "../../graph/looks.json"), "utf8"));

/** The colours of a theme as variables. */
function variables(theme) {
  const { tones, ...plain } = theme;
  const own = new Set(["card", "fg"]);
  const lines = Object.entries(plain).map(
    ([name, colour]) => `--cascade-${own.has(name) ? "own-" : ""}${name}:${colour}`,
  );
  for (const [name, { ink, icon, tint }] of Object.entries(tones)) {
    lines.push(`--cascade-${name}:${ink}`, `--cascade-${name}-icon:${icon}`, `--cascade-${name}-tint:${tint}`);
  }
  return lines.join(";");
}

/** What a state looks like: its line, its icon and its ground. */
function stateRules([name, look], aliases) {
  const grounds = {
    card: "var(--cascade-card)",
    soft: "var(--cascade-soft)",
    none: "transparent",
    tint: `var(--cascade-${look.tone}-tint)`,
  };
  const selectors = [`.cascade-s-${name}`, ...aliases].join(",");
  const rules = {
    ink: `var(--cascade-${look.tone})`,
    mark: `var(--cascade-${look.tone}-icon)`,
    ground: grounds[look.fill],
    dash: look.dash || "none",
  };
  const lines = Object.entries(rules).map(([part, value]) => `--cascade-${part}:${value}`);
  return `${selectors}{${lines.join(";")}}`;
}

/** Which states the bars of the lanes look like. */
const BARS = {
  running: "running",
  done: "done",
  stored: "stored",
  failed: "failed",
  cancelled: "cancelled",
  backoff: "retry",
  wait: "waiting",
  setup: "queued",
};

function styleSource() {
  const rules = [
    `.cascade-view{${variables(looks.themes.light)};color-scheme:light}`,
    `.cascade-view[data-cascade-theme="dark"]{${variables(looks.themes.dark)};color-scheme:dark}`,
  ];
  for (const entry of Object.entries(looks.states)) {
    const bars = Object.keys(BARS)
      .filter((bar) => BARS[bar] === entry[0])
      .map((bar) => `.cascade-bar-${bar}`);
    rules.push(stateRules(entry, bars));
    const { tone } = entry[1];
    rules.push(`.cascade-fill-${entry[0]}{fill:var(--cascade-${tone});background:var(--cascade-${tone})}`);
  }
  return `${rules.join("\n")}\n${readFileSync(join(here, "view/view.css"), "utf8")}`;
}

const styles = (await transform(styleSource(), { loader: "css", minify: true })).code;
const stylePlugin = {
  name: "styles",
  setup(builder) {
    builder.onResolve({ filter: /^cascade:styles$/ }, () => ({ path: "cascade:styles", namespace: "styles" }));
    builder.onLoad({ filter: /.*/, namespace: "styles" }, () => ({ contents: styles, loader: "text" }));
  },
};

const shared = {
  absWorkingDir: here,
  bundle: true,
  minify: true,
  target: "es2022",
  plugins: [stylePlugin],
  legalComments: "none",
  charset: "utf8",
};

async function buildPages() {
  mkdirSync(shipped, { recursive: true });
  writeFileSync(join(shipped, "view.css"), styles);
  await build({ ...shared, entryPoints: ["widget.js"], format: "esm", outfile: join(shipped, "widget.js") });
  await build({ ...shared, entryPoints: ["controls.js"], format: "esm", outfile: join(shipped, "controls.js") });
  await build({
    ...shared,
    entryPoints: ["page.js"],
    format: "iife",
    globalName: "cascadeView",
    outfile: join(shipped, "page.js"),
  });
}

/** The JupyterLab shell: bundled here first, because the federated build knows nothing of our styles. */
async function buildExtension() {
  const folder = join(shipped, "labextension");
  rmSync(folder, { recursive: true, force: true });
  await build({
    ...shared,
    entryPoints: ["renderer/index.js"],
    format: "esm",
    external: ["@lumino/widgets"],
    outfile: "build/renderer.js",
  });
  await build({ ...shared, entryPoints: ["renderer/plugin.js"], format: "esm", outfile: "build/plugin.js" });
  const require = createRequire(import.meta.url);
  const builder = require.resolve("@jupyter/builder/lib/build-labextension.js");
  const core = findCore(require);
  execFileSync(process.execPath, [builder, "--core-package-file", core, here], { cwd: here, stdio: "inherit" });
  tidyExtension(folder);
}

/** The package file that says which packages JupyterLab itself brings. */
function findCore(require) {
  const home = dirname(require.resolve("@jupyterlab/core-meta/package.json"));
  const name = readdirSync(home).find((file) => file.startsWith("core") && file.endsWith(".json")) ?? "package.json";
  return join(home, name);
}

/** Leaves in package.json what JupyterLab reads, and drops what only tells about the machine it was built on. */
function tidyExtension(folder) {
  const file = join(folder, "package.json");
  const { name, version, description, license, jupyterlab } = JSON.parse(readFileSync(file, "utf8"));
  const { extension, mimeExtension, _build } = jupyterlab;
  writeFileSync(
    file,
    `${JSON.stringify({ name, version, description, license, jupyterlab: { extension, mimeExtension, _build } }, null, 2)}\n`,
  );
  rmSync(join(folder, "static/third-party-licenses.json"), { force: true });
}

await buildPages();
if (!process.argv.includes("--pages")) await buildExtension();
for (const name of ["widget.js", "controls.js", "page.js", "view.css"]) {
  const text = readFileSync(join(shipped, name));
  console.log(`${name}: ${text.length} bytes, ${gzipSync(text).length} gzipped`);
}
