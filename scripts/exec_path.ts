/**
 * Preloaded where the runtime under test needs a program before it to start (an emulator, a loader):
 * tests start it again by `process.execPath`, which becomes the command that `MMAN_RUNTIME_COMMAND` names.
 */
import process from "node:process";

const command = process.env["MMAN_RUNTIME_COMMAND"];
if (command) process.execPath = command;
