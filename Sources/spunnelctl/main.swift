// The program spunnelctl: reaches what runs in the user's Slurm jobs.

import Glibc
import SpunnelCLI
import SpunnelSystem

Process.keepChildren()
// A link to this program is another program: its name selects the commands.
let name = CommandLine.arguments.first?.split(separator: "/").last.map(String.init) ?? ""
let root =
  (QueueCommands.links + [QconnectCommand.spec]).first { $0.name == name } ?? CommandTree.root
// The name alone shows the status.
let alone = root.name == CommandTree.root.name ? [StatusCommand.spec.name] : []
exit(Tool(root, alone: alone, version: VersionReport.show).main())
