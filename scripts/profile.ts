import { readFileSync } from "node:fs"
import { functions, profiledExecutable, sampled } from "./samples.ts"

const [plugin = "", runs = "1"] = process.argv.slice(2)
const program = await profiledExecutable(plugin)
const stdin = readFileSync(0)
const stacks = Array.from({ length: Number(runs) }, () => sampled(program, { stdin, env: process.env }).stacks).flat()
console.log(functions(stacks, Number(runs)))
