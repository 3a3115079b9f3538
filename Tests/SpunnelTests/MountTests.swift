// Mounts that are not crossed: /proc is one on every machine.

import CSystem
import Glibc
import Testing

@testable import SpunnelSystem

@Suite struct MountTests {
  /// By openat2(2), and as on a kernel without it.
  private func open(_ name: String, in path: String, _ flags: CInt, way: Int) throws -> CInt {
    let directory = try Directory.open(path)
    let raw = directory.descriptor.raw
    let result =
      way == 0
      ? unsafe csystem_open_within(raw, name, flags, 0o600)
      : unsafe csystem_open_within_by_number(raw, name, flags, 0o600)
    if result >= 0 { _ = close(result) }
    return min(result, 0)
  }

  @Test(arguments: [0, 1])
  func aMountIsNotCrossedWhateverIsWanted(way: Int) throws {
    #expect(try open("proc", in: "/", O_RDONLY | O_DIRECTORY, way: way) == -EXDEV)
    #expect(try open("proc", in: "/", csystem_o_path | O_NOFOLLOW, way: way) == -EXDEV)
    #expect(try open("self", in: "/proc", csystem_o_path | O_NOFOLLOW, way: way) == 0)
    #expect(try open("..", in: "/proc", O_RDONLY, way: way) == -EXDEV)
  }

  @Test(arguments: [0, 1])
  func elseItIsOpenedAsEver(way: Int) throws {
    let scratch = try Scratch()
    #expect(try open("new", in: scratch.path, O_RDONLY, way: way) == -ENOENT)
    #expect(try open("new", in: scratch.path, O_WRONLY | O_CREAT | O_EXCL, way: way) == 0)
    #expect(try open("new", in: scratch.path, O_WRONLY | O_CREAT | O_EXCL, way: way) == -EEXIST)
    #expect(try open("new", in: scratch.path, O_RDONLY | O_DIRECTORY, way: way) == -ENOTDIR)
    try scratch.makeLink("link", to: "new")
    #expect(try open("link", in: scratch.path, O_RDONLY | O_NOFOLLOW, way: way) == -ELOOP)
    #expect(try open("link", in: scratch.path, csystem_o_path | O_NOFOLLOW, way: way) == 0)
  }

  @Test(
    arguments: [
      ("36 35 98:0 / /mnt rw,noatime master:1 - ext4 /dev/root rw", nil),
      (
        "99 35 0:50 / /tmp/a rw shared:2 - fuse.lying lying rw,user_id=70002,group_id=1,allow_other",
        70002
      ),
      ("99 35 0:50 / /home rw - fuse.ceph ceph rw,user_id=0,group_id=0,allow_other", 0),
      ("99 35 0:50 / /tmp/a rw - fuse lying rw", uid_t.max),
      ("99 35 0:50 / /dos rw - fuseblk /dev/sda rw,user_id=7", 7),
    ] as [(String, uid_t?)])
  func whoServesAMountIsReadFromItsLine(line: String, server: uid_t?) throws {
    #expect(try #require(Mount(line)).server == server)
  }

  @Test(arguments: ["", "x", "36 35 98:0 / /mnt rw", "36 35 98:0 / /mnt rw - ext4", "a b - c d e"])
  func otherLinesAreNone(line: String) { #expect(Mount(line) == nil) }

  @Test func theMountOfADescriptorIsFound() throws {
    let place = try Directory.open("/proc")
    #expect(Mount.of(place.descriptor.raw)?.type == "proc")
  }
}
