// The node's part of sessions, as a program.

import Glibc
import SpunnelSession
import SpunnelSystem

exit(NodeProgram.main(Array(Process.arguments().dropFirst())))
