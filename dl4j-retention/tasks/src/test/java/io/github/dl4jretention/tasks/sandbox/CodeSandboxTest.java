package io.github.dl4jretention.tasks.sandbox;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Hostile programs, where the system can isolate them. */
class CodeSandboxTest {

    private static final String MARK = "dl4j_retention_hostile_test";

    private static CodeSandbox sandbox;

    @TempDir
    Path temporary;

    @BeforeAll
    static void start() throws IOException {
        CodeSandbox made = null;
        try {
            made = CodeSandbox.of(new CodeLimits(4, 1L << 28, 1L << 20, 8));
        } catch (IOException e) {
            assumeTrue(false, "no python3: " + e);
        }
        assumeTrue(made != null && made.isIsolated(), "this system makes no namespaces");
        sandbox = made;
    }

    private static CodeSandbox.Outcome run(String... lines) throws IOException {
        return sandbox.run(String.join("\n", lines));
    }

    private static void assertFails(String reason, String... lines) throws IOException {
        CodeSandbox.Outcome outcome = run(lines);
        assertFalse(outcome.passed());
        assertTrue(outcome.reason().contains(reason), outcome.reason());
    }

    @Test
    void a_program_that_ends_without_an_error_passes() throws IOException {
        assertEquals(new CodeSandbox.Outcome(true, "passed"), run("assert 1 + 1 == 2"));
        assertTrue(run("print('no line break', end='')").passed());
        assertFails("AssertionError", "assert 1 + 1 == 3");
        assertFails("SyntaxError", "def f(:");
    }

    @Test
    void a_program_that_ends_before_its_tests_does_not_pass() throws IOException {
        assertFails("ended with code 0", "import sys", "sys.exit(0)", "assert False");
        assertFails("ended with code 0", "import os", "os._exit(0)");
    }

    @Test
    void an_endless_loop_ends() throws IOException {
        long start = System.nanoTime();
        CodeSandbox.Outcome outcome = run("while True: pass");
        assertFalse(outcome.passed());
        assertTrue((System.nanoTime() - start) / 1e9 < 30, "seconds");
        assertFails("timed out", "import time", "time.sleep(60)");
    }

    /** Neither does it reach the limit of the machine, nor does a process of it live on. */
    @Test
    void a_fork_bomb_ends_with_all_its_processes() throws IOException {
        CodeSandbox.Outcome outcome =
                run("import os, time", "x = '" + MARK + "'", "while True:", "    os.fork()", "    time.sleep(0.001)");
        assertFalse(outcome.passed());
        assertTrue(
                outcome.reason().contains("BlockingIOError") || outcome.reason().equals("timed out"), outcome.reason());
        run("import os, time", "while True:", "    try: os.fork()", "    except OSError: time.sleep(0.01)");
        long left = ProcessHandle.allProcesses()
                .filter(process -> process.info().commandLine().orElse("").contains("program.py"))
                .count();
        assertEquals(0, left);
    }

    @Test
    void threads_count_as_processes() throws IOException {
        assertFails(
                "can't start new thread",
                "import threading, time",
                "for i in range(100): threading.Thread(target=time.sleep, args=(1,), daemon=True).start()");
    }

    @Test
    void much_memory_is_refused() throws IOException {
        assertFails("MemoryError", "x = bytearray(10 ** 10)");
        assertFails("MemoryError", "x = []", "while True: x.append(bytearray(10 ** 7))");
    }

    @Test
    void ten_gigabytes_are_not_written() throws IOException {
        assertFails("OSError", "f = open('big', 'wb')", "for i in range(10000): f.write(b'x' * 10 ** 6); f.flush()");
        assertFails(
                "No space left",
                "for i in range(10000):",
                "    with open('file' + str(i), 'wb') as f: f.write(b'x' * 10 ** 5)");
        assertFails("", "while True: print('x' * 10 ** 6)");
    }

    @Test
    void the_home_folder_and_other_files_are_not_there() throws IOException {
        Path secret = Files.writeString(temporary.resolve("secret"), "secret");
        assertFails("FileNotFoundError", "open('" + secret + "')");
        assertFails("FileNotFoundError", "import os", "os.listdir('" + System.getProperty("user.home") + "')");
        assertFails("FileNotFoundError", "open('/etc/passwd')");
        CodeSandbox.Outcome outcome = run(
                "import os",
                "assert os.path.expanduser('~') == '/work'",
                "assert os.listdir('.') == ['program.py']",
                "assert set(os.environ) <= {'HOME', 'PATH', 'LC_ALL', 'PWD', 'OLDPWD'}, os.environ");
        assertEquals("passed", outcome.reason());
    }

    @Test
    void the_systems_programs_cannot_be_changed() throws IOException {
        assertFails("Read-only file system", "open('/usr/bin/" + MARK + "', 'w')");
        assertFalse(Files.exists(Path.of("/usr/bin/" + MARK)));
    }

    @Test
    void a_socket_reaches_nothing() throws IOException {
        assertFails("unreachable", "import socket", "socket.create_connection(('192.0.2.1', 80), 1)");
        try (java.net.ServerSocket server =
                new java.net.ServerSocket(0, 1, java.net.InetAddress.getLoopbackAddress())) {
            assertFails(
                    "Error",
                    "import socket",
                    "socket.create_connection(('127.0.0.1', " + server.getLocalPort() + "), 1)");
        }
    }

    @Test
    void nothing_is_left_of_a_program() throws IOException {
        assertTrue(run("open('left', 'w').write('x')").passed());
        assertTrue(run("import os", "assert not os.path.exists('left')").passed());
        try (var folders = Files.list(Path.of(System.getProperty("java.io.tmpdir")))) {
            assertEquals(
                    0,
                    folders.filter(folder -> folder.getFileName()
                                    .toString()
                                    .startsWith("dl4j-retention-code-"
                                            + ProcessHandle.current().pid() + "-"))
                            .count());
        }
    }

    @Test
    void other_processes_are_out_of_sight() throws IOException {
        assertFails(
                "ProcessLookupError",
                "import os",
                "os.kill(" + ProcessHandle.current().pid() + ", 9)");
    }

    /** As on systems without namespaces. */
    @Test
    void without_namespaces_limits_hold_and_nothing_is_left() throws IOException {
        CodeSandbox limited =
                CodeSandbox.withoutNamespaces(new CodeLimits(4, 1L << 28, 1L << 20, 10_000), "/usr/bin/python3");
        assertFalse(limited.isIsolated());
        assertTrue(limited.run("import os\nassert os.listdir('.') == ['program.py']")
                .passed());
        assertTrue(limited.run(
                        "import os\nos.mkdir('x')\nopen('x/y', 'w').close()\nos.chmod('x', 0)\nos.symlink('/', 'z')")
                .passed());
        assertFalse(limited.run("while True: pass").passed());
        assertEquals("MemoryError", limited.run("x = bytearray(10 ** 10)").reason());
        assertTrue(limited.run("f = open('big', 'wb')\nfor i in range(100): f.write(b'x' * 10 ** 6); f.flush()")
                .reason()
                .contains("File too large"));
        assertTrue(limited.run("import os\nassert set(os.environ) <= {'HOME', 'PATH', 'LC_ALL', 'PWD', 'OLDPWD'}")
                .passed());
        nothing_is_left_of_a_program();
    }

    @Test
    void limits_say_what_they_expect() {
        String message = assertThrows(IllegalArgumentException.class, () -> new CodeLimits(0, 1L << 30, 1L << 20, 1))
                .getMessage();
        assertEquals("seconds: expected a number of at least 1, got 0", message);
        assertThrows(IllegalArgumentException.class, () -> new CodeLimits(1, 1, 1L << 20, 1));
        assertThrows(IllegalArgumentException.class, () -> new CodeLimits(1, 1L << 30, 1, 1));
        assertThrows(IllegalArgumentException.class, () -> new CodeLimits(1, 1L << 30, 1L << 20, 0));
    }
}
