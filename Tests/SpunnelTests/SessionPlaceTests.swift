// The directories of sessions, and what is swept away of them.

import Glibc
import SpunnelSystem
import Testing

@testable import SpunnelSession

@Suite(.serialized) struct SessionPlaceTests {
  private func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }

  /// A holder works in its directory only once its program is there.
  @Test func theDirectoryOfASessionThatIsStillStartingIsLeftAlone() throws {
    let place = try SessionPlace(ShellKind.self, inherited: [])
    SessionPlace.sweep(except: [])
    #expect(exists(place.path))
    place.remove()
    #expect(!exists(place.path))
  }

  @Test func whatAKilledHolderHasLeftIsRemoved() throws {
    var template = Array("/tmp/spunnel-session-XXXXXX".utf8CString)
    let path = unsafe template.withUnsafeMutableBufferPointer { buffer -> String? in
      guard let start = buffer.baseAddress, unsafe mkdtemp(start) != nil else { return nil }
      return unsafe String(cString: start)
    }
    let left = try #require(path)
    try Directory.open(left).replace("token", with: [1])
    _ = unsafe mkdir(left + "/deep", 0o700)
    try Directory.open(left + "/deep").replace("file", with: [1])
    SessionPlace.sweep(except: [left])
    #expect(exists(left))
    SessionPlace.sweep(except: [])
    #expect(!exists(left))
  }
}
