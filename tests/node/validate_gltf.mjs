// Khronos' own validator: node validate_gltf.mjs FILE -> one JSON line with its report.
import fs from 'node:fs';
import validator from 'gltf-validator';

const report = await validator.validateBytes(new Uint8Array(fs.readFileSync(process.argv[2])));
console.log(JSON.stringify(report));
