// The command-line tool: looks at the tunnels that srun opens, and cleans up after accidents.

import Glibc
import SpunnelCLI
import SpunnelSystem

Process.keepChildren()
// A link of another name is another program.
let name = CommandLine.arguments.first?.split(separator: "/").last.map(String.init) ?? ""
let root =
  (QueueCommands.links + [QconnectCommand.spec]).first { $0.name == name } ?? CommandTree.root
// Whoever types the name alone wants to know what is there.
let alone = root.name == CommandTree.root.name ? [StatusCommand.spec.name] : []
exit(Tool(root, alone: alone, version: VersionReport.show).main())
