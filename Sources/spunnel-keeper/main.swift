// The keeper's executable: everything is in the core.

import Glibc
import SpunnelKeeper

exit(KeeperProcess.main(Array(CommandLine.arguments.dropFirst())))
