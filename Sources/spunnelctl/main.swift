// The command-line tool: looks at the tunnels that srun opens, and cleans up after accidents.

import Glibc
import SpunnelCLI
import SpunnelSystem

Process.keepChildren()
// A link of another name is another program.
let name = CommandLine.arguments.first?.split(separator: "/").last.map(String.init) ?? ""
let root =
  (QueueCommands.links + [QconnectCommand.spec]).first { $0.name == name } ?? CommandTree.root
if root.name == CommandTree.root.name, CommandLine.arguments.count == 2,
  ["-V", "--version"].contains(CommandLine.arguments[1])
{
  let report = VersionReport.current()
  for line in report.lines { print(line) }
  exit(report.fits ? 0 : 1)
}
exit(Tool(root, version: "spunnel \(spunnelVersion)").main())
