// The program spunnel-session, which runs on the node of a session. All its code is in
// SpunnelSession.

import Glibc
import SpunnelSession
import SpunnelSystem

exit(NodeProgram.main(Array(Process.arguments().dropFirst())))
