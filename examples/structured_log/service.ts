/** A service that logs what it does until it is killed. Argument: the file of the log. */
import process from "node:process";
import { Logger } from "./log.ts";

const logger = new Logger(process.argv[2]!, 1000);
logger.log("info", "service started", { version: "1.4.2" });
for (let request = 1;; request++) {
  const milliseconds = (request * 7919) % 90;
  if (milliseconds > 80) logger.log("warn", "slow request", { request, milliseconds });
  else logger.log("debug", "request done", { request, milliseconds });
  if (request === 5000) {
    logger.log("error", "connection lost", { peer: "10.0.0.7:5432", attempts: 3 });
    console.log("busy");
  }
}
