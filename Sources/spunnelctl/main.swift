// The command-line tool: looks at the tunnels that srun opens, and cleans up after accidents.

import Glibc
import SpunnelCLI
import SpunnelSystem

Process.keepChildren()
exit(Tool(CommandTree.root, version: "spunnel \(spunnelVersion)").main())
