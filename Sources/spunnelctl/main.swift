// The command-line tool: looks at the tunnels that srun opens, and cleans up after accidents.

import Glibc
import SpunnelSystem

Process.keepChildren()
exit(CommandLineTool.run(Array(CommandLine.arguments.dropFirst())))
