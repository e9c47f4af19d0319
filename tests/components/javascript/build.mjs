// node build.mjs OUTPUT: makes the component of guest.js; the WIT files lie in wit/, where tests/support/javascript.py puts them.
import { componentize } from "@bytecodealliance/componentize-js";
import { readFile, writeFile } from "node:fs/promises";

const source = await readFile("guest.js", "utf8");
const { component } = await componentize(source, { witPath: "wit", worldName: "guest" });
await writeFile(process.argv[2], component);
