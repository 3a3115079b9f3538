// The command-line tool: looks at the tunnels that srun opens, and cleans up after accidents.

import Glibc
import SpunnelCLI
import SpunnelSystem

Process.keepChildren()
if CommandLine.arguments.count == 2, ["-V", "--version"].contains(CommandLine.arguments[1]) {
  let report = VersionReport.current()
  for line in report.lines { print(line) }
  exit(report.fits ? 0 : 1)
}
exit(Tool(CommandTree.root, version: "spunnel \(spunnelVersion)").main())
