// Bundles src/ into ../static/dist: hashed names, a manifest of them, and the licences of what was bundled.
import {build} from 'esbuild';
import fs from 'node:fs';
import path from 'node:path';
import {fileURLToPath} from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const out = path.join(here, '..', 'static', 'dist');
fs.rmSync(out, {recursive: true, force: true});

const result = await build({
  absWorkingDir: here,
  entryPoints: ['src/main.js', 'src/main.css'],
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  outdir: out,
  metafile: true,
  entryNames: '[name]-[hash]',
  legalComments: 'none',
  logLevel: 'warning',
});
// a classic script: it runs before the first paint
const theme = await build({
  absWorkingDir: here,
  entryPoints: ['src/theme.js'],
  minify: true,
  format: 'iife',
  target: 'es2022',
  outdir: out,
  metafile: true,
  entryNames: '[name]-[hash]',
  logLevel: 'warning',
});

const manifest = {};
for (const outputs of [result.metafile.outputs, theme.metafile.outputs]) {
  for (const [file, meta] of Object.entries(outputs)) {
    if (meta.entryPoint) manifest[path.basename(meta.entryPoint)] = path.basename(file);
  }
}
fs.writeFileSync(path.join(out, 'manifest.json'), JSON.stringify(manifest, null, 1) + '\n');
fs.writeFileSync(path.join(out, 'THIRD-PARTY-LICENSES.txt'), licences(Object.keys(result.metafile.inputs)));

function licences(inputs) {
  const names = new Set(inputs.map(file => file.match(/node_modules\/((?:@[^/]+\/)?[^/]+)/)?.[1]).filter(Boolean));
  return [...names].sort().map(licence).join('\n----\n\n');
}

function licence(name) {
  const folder = path.join(here, 'node_modules', name);
  const about = JSON.parse(fs.readFileSync(path.join(folder, 'package.json')));
  const file = fs.readdirSync(folder).find(it => /^licen[sc]e/i.test(it));
  if (!file) throw new Error(`${name} is bundled and has no licence file`);
  return `${about.name} ${about.version} (${about.license})\n\n${fs.readFileSync(path.join(folder, file), 'utf8')}`;
}
