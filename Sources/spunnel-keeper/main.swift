// The program spunnel-keeper. All its code is in SpunnelKeeper.

import Glibc
import SpunnelKeeper

exit(KeeperProcess.main(Array(CommandLine.arguments.dropFirst())))
