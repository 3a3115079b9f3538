// The way to a directory, as the kernel goes it: who could change it.

import Glibc
import Testing

@testable import SpunnelSystem

@Suite struct TrustTests {
  private let scratch: Scratch
  private let user = geteuid()
  private let open = "others may write to it and it is not sticky"

  /// `team` is open to others, `own` and what is in it is not.
  init() throws {
    scratch = try Scratch()
    for name in ["own", "own/deep"] { try scratch.makeDirectory(name) }
    try scratch.makeDirectory("team", mode: 0o770)
  }

  private func exposure(_ way: String) throws -> Exposure? {
    try Directory.exposure(along: scratch.path + "/" + way, user: user)
  }

  private func expectExposure(_ way: String, _ place: String, _ why: String) throws {
    #expect(try exposure(way) == Exposure(path: scratch.path + "/" + place, why: why))
  }

  @Test(arguments: ["own", "own/deep/", "./own//./deep", "own/deep/../deep"])
  func aWayOfOnesOwnIsTrusted(way: String) throws {
    #expect(try exposure(way) == nil)
  }

  @Test func theWayEndsAtTheRoot() throws {
    #expect(try Directory.exposure(along: "/", user: user) == nil)
    #expect(try Directory.exposure(along: "/../..", user: user) == nil)
  }

  @Test(arguments: ["team", "team/../own", "own/../team/../own/deep"])
  func everyDirectoryOnTheWayCounts(way: String) throws {
    try expectExposure(way, "team", open)
  }

  @Test func aLinkThatOthersCanReplaceIsNotTrustedWhereverItLeads() throws {
    try scratch.makeLink("team/absolute", to: scratch.path + "/own")
    try scratch.makeLink("team/relative", to: "../own/deep")
    for way in ["team/absolute", "team/relative", "team/absolute/deep"] {
      try expectExposure(way, "team", open)
    }
  }

  @Test func aLinkToSuchALinkIsNotTrusted() throws {
    try scratch.makeLink("team/me", to: "../own")
    try scratch.makeLink("own/first", to: "second")
    try scratch.makeLink("own/second", to: scratch.path + "/team/me/deep")
    try expectExposure("own/first", "team", open)
    try expectExposure("own/first/..", "team", open)
  }

  @Test(arguments: ["absolute", "relative", "chain", "chain/../deep", "dots/own/deep"])
  func linksThatOnlyTheUserCanReplaceAreFollowed(way: String) throws {
    try scratch.makeLink("absolute", to: scratch.path + "/own")
    try scratch.makeLink("relative", to: "own/../own/deep")
    try scratch.makeLink("own/back", to: "../relative")
    try scratch.makeLink("chain", to: "own/back")
    try scratch.makeLink("dots", to: "own/..")
    #expect(try exposure(way) == nil)
  }

  @Test(.enabled(if: isRoot, "giving a link away needs root"), arguments: [0o1777, 0o1770, 0o755])
  func inAStickyDirectoryALinkIsItsOwners(mode: mode_t) throws {
    try scratch.makeDirectory("shared", mode: mode)
    try scratch.makeLink("shared/link", to: scratch.path + "/own")
    #expect(try exposure("shared/link/deep") == nil)
    try scratch.setOwner(stranger, of: "shared/link")
    if mode == 0o755 {
      #expect(try exposure("shared/link/deep") == nil)
    } else {
      try expectExposure("shared/link/deep", "shared/link", "it is a link of uid \(stranger)")
    }
  }

  @Test(.enabled(if: isRoot, "making a link of root's needs root"))
  func rootsLinksAreFollowed() throws {
    try scratch.setMode(0o1777, of: ".")
    try scratch.makeLink("link", to: "/usr/bin")
    #expect(
      try Directory.exposure(along: scratch.path + "/link/..", user: stranger) == nil)
  }

  @Test(arguments: [("nothing/deep", ENOENT), ("file/deep", ENOTDIR), ("dangling", ENOENT)])
  func aWayThatLeadsNowhereIsAnError(way: String, code: CInt) throws {
    try scratch.write("", to: "file")
    try scratch.makeLink("dangling", to: "nothing")
    let path = scratch.path + "/" + way
    #expect(throws: SystemError("open \(path)", code)) { try exposure(way) }
  }

  @Test func linksInACircleAreAnError() throws {
    try scratch.makeLink("one", to: "two/deep")
    try scratch.makeLink("two", to: "one")
    #expect(throws: SystemError("open \(scratch.path)/one", ELOOP)) { try exposure("one") }
  }

  @Test(arguments: [(40, nil), (41, ELOOP)] as [(Int, CInt?)])
  func asManyLinksAsTheKernelFollows(count: Int, code: CInt?) throws {
    for number in 1..<count { try scratch.makeLink("\(number)", to: "\(number + 1)") }
    try scratch.makeLink("\(count)", to: "own")
    let opened = try? Directory.open(following: scratch.path + "/1").path
    #expect((opened == nil) == (code != nil))
    do { #expect(try exposure("1") == nil && code == nil) } catch {
      #expect((error as? SystemError)?.code == code)
    }
  }

  // MARK: - Paths

  @Test func ofAPathWhatIsMissingIsMade() throws {
    for way in ["own/new/deep", "own/new/deep", "own/deep"] {
      try Directory.createPath(scratch.path + "/" + way)
    }
    #expect(scratch.names("/own") == ["deep", "new"])
    #expect(scratch.names("/own/new") == ["deep"])
    try scratch.write("", to: "file")
    let path = scratch.path + "/file/deep"
    #expect(throws: SystemError("mkdir \(path)", ENOTDIR)) { try Directory.createPath(path) }
  }

  @Test func theRealPathHasNoLinks() throws {
    try scratch.makeLink("own/me", to: "../own/deep")
    #expect(try realPath(scratch.path + "/own/me") == realPath(scratch.path) + "/own/deep")
    let path = scratch.path + "/nothing"
    #expect(throws: SystemError("realpath \(path)", ENOENT)) { try realPath(path) }
  }
}
