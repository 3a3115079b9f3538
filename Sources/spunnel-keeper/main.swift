// The keeper's executable: everything is in the core.

import Glibc
import Spunnel

exit(KeeperProcess.main(Array(CommandLine.arguments.dropFirst())))
