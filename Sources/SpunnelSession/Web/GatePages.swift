// The gate's own pages, and the files of a page that no program serves.

import Glibc
import SpunnelSystem

enum GatePages {
  private static let landing = """
    <!doctype html>
    <html lang="en">
    <meta charset="utf-8">
    <meta name="referrer" content="no-referrer">
    <title>Session</title>
    <p id="word">Opening the session …</p>
    <script src="/spunnel/enter.js"></script>
    </html>

    """

  /// Exchanges the key behind `#`, which no browser sends anywhere, for the cookie.
  private static let script = """
    (async () => {
      const key = location.hash.slice(1);
      history.replaceState(null, "", "/spunnel/");
      let answer = null;
      if (key) answer = await fetch("/spunnel/enter", { method: "POST", body: key });
      if (!answer || !answer.ok) answer = await fetch("/spunnel/next", { cache: "no-store" });
      if (answer.ok) return location.replace(await answer.text());
      document.getElementById("word").textContent =
        "This address is not the session's newest: type spunnelctl session url, and open what it prints.";
    })();

    """

  /// Nothing of these pages is kept, framed, or told to others.
  private static let fields = """
    Cache-Control: no-store\r
    Referrer-Policy: no-referrer\r
    X-Content-Type-Options: nosniff\r
    X-Frame-Options: DENY\r
    Content-Security-Policy: default-src 'none'; script-src 'self'; connect-src 'self'; frame-ancestors 'none'\r

    """

  static func landingPage() -> [UInt8] { answer("200 OK", "text/html", Array(landing.utf8)) }

  static func scriptPage() -> [UInt8] { answer("200 OK", "text/javascript", Array(script.utf8)) }

  static func refusal(_ reason: String) -> [UInt8] {
    answer("403 Forbidden", "text/plain", Array("spunnel: \(reason)\n".utf8))
  }

  static func failure(_ status: String, _ reason: String) -> [UInt8] {
    answer(status, "text/plain", Array("spunnel: \(reason)\n".utf8))
  }

  /// - Parameter cookie: as `NAME=value`, when the browser is to get it
  static func next(_ address: String, cookie: String?) -> [UInt8] {
    let set = cookie.map { "Set-Cookie: \($0); Path=/; HttpOnly; SameSite=Strict\r\n" } ?? ""
    return answer("200 OK", "text/plain", Array(address.utf8), more: set)
  }

  private static func answer(
    _ status: String, _ type: String, _ body: [UInt8], more: String = ""
  ) -> [UInt8] {
    let head =
      "HTTP/1.1 \(status)\r\nConnection: close\r\nContent-Length: \(body.count)\r\n"
      + "Content-Type: \(type); charset=utf-8\r\n" + fields + more + "\r\n"
    return Array(head.utf8) + body
  }

  // MARK: Files

  private static let largestFile = 1 << 24
  private static let types = [
    "html": "text/html; charset=utf-8", "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8", "json": "application/json", "svg": "image/svg+xml",
    "png": "image/png", "ico": "image/x-icon", "woff": "font/woff", "mp3": "audio/mpeg",
    "oga": "audio/ogg",
  ]

  /// A file of the folder that an administrator has installed.
  static func file(_ path: String, in folder: String) -> [UInt8] {
    guard isPlain(path), let ending = path.split(separator: ".").last,
      let type = types[String(ending)],
      let file = try? FileDescriptor.open(folder + path, O_RDONLY | O_NONBLOCK),
      let content = regularContent(file)
    else { return failure("404 Not Found", "there is no such page") }
    let head =
      "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: \(content.count)\r\n"
      + "Content-Type: \(type)\r\nCache-Control: private, max-age=300\r\n"
      + "Referrer-Policy: no-referrer\r\nX-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n\r\n"
    return Array(head.utf8) + content
  }

  private static func regularContent(_ file: borrowing FileDescriptor) -> [UInt8]? {
    var found = stat()
    guard unsafe fstat(file.raw, &found) == 0, found.st_mode & S_IFMT == S_IFREG else {
      return nil
    }
    return try? file.content(expecting: Int(found.st_size), atMost: largestFile)
  }

  /// Letters, digits and `._-` between slashes, and no name that begins with a dot.
  static func isPlain(_ path: String) -> Bool {
    path.hasPrefix("/")
      && path.dropFirst().split(separator: "/", omittingEmptySubsequences: false).allSatisfy {
        !$0.isEmpty && !$0.hasPrefix(".")
          && $0.utf8.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
            default: "._-".utf8.contains(byte)
            }
          }
      }
  }
}
