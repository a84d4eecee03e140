package io.github.dl4jretention.tasks.sandbox;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Named;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Hostile programs. Limits on time, memory, files and processes are tested on every system with python3, without namespaces
 * and, where the system makes them, within; what only namespaces hold back is tested where the system makes them.
 */
class CodeSandboxTest {

    /** Time that a busy machine needs for a program that ends. */
    private static final CodeLimits LIMITS = limits(20);

    /** For programs that don't end. */
    private static final CodeLimits SHORT = limits(3);

    private static final List<CodeSandbox> SANDBOXES = new ArrayList<>();

    /** An argument that only processes of this test have. */
    private final String mark = "dl4j_retention_hostile_test_" + UUID.randomUUID();

    @TempDir
    Path temporary;

    @BeforeAll
    static void start() {
        SANDBOXES.clear();
        try {
            CodeSandbox made = CodeSandbox.of(LIMITS);
            SANDBOXES.add(made);
            if (made.isIsolated()) {
                SANDBOXES.add(CodeSandbox.withoutNamespaces(LIMITS));
            }
        } catch (IOException e) {
            assumeTrue(false, "no python3: " + e);
        }
    }

    private static CodeLimits limits(int seconds) {
        return new CodeLimits(seconds, 1L << 28, 1L << 20, 8);
    }

    /** The same with less time. */
    private static CodeSandbox hurried(CodeSandbox sandbox) throws IOException {
        return sandbox(sandbox.isIsolated(), SHORT);
    }

    private static CodeSandbox sandbox(boolean isolated, CodeLimits limits) throws IOException {
        return isolated ? CodeSandbox.of(limits) : CodeSandbox.withoutNamespaces(limits);
    }

    static Stream<Named<CodeSandbox>> sandboxes() {
        return SANDBOXES.stream()
                .map(sandbox -> Named.of(sandbox.isIsolated() ? "within namespaces" : "without namespaces", sandbox));
    }

    private static CodeSandbox isolated() {
        CodeSandbox first = SANDBOXES.get(0);
        assumeTrue(first.isIsolated(), "this system makes no namespaces");
        return first;
    }

    private static CodeSandbox.Outcome run(CodeSandbox sandbox, String... lines) throws IOException {
        return sandbox.run(String.join("\n", lines));
    }

    private static void assertFails(CodeSandbox sandbox, String reason, String... lines) throws IOException {
        CodeSandbox.Outcome outcome = run(sandbox, lines);
        assertFalse(outcome.passed());
        assertTrue(outcome.reason().contains(reason), outcome.reason());
    }

    @ParameterizedTest
    @MethodSource("sandboxes")
    void a_program_that_ends_without_an_error_passes(CodeSandbox sandbox) throws IOException {
        assertEquals(new CodeSandbox.Outcome(true, "passed"), run(sandbox, "assert 1 + 1 == 2"));
        assertTrue(run(sandbox, "print('no line break', end='')").passed());
        assertFails(sandbox, "AssertionError", "assert 1 + 1 == 3");
        assertFails(sandbox, "SyntaxError", "def f(:");
    }

    @ParameterizedTest
    @MethodSource("sandboxes")
    void a_program_that_ends_before_its_tests_does_not_pass(CodeSandbox sandbox) throws IOException {
        assertFails(sandbox, "ended with code 0", "import sys", "sys.exit(0)", "assert False");
        assertFails(sandbox, "ended with code 0", "import os", "os._exit(0)");
    }

    @ParameterizedTest
    @MethodSource("sandboxes")
    void an_endless_loop_ends(CodeSandbox sandbox) throws IOException {
        long start = System.nanoTime();
        CodeSandbox hurried = hurried(sandbox);
        assertFalse(run(hurried, "while True: pass").passed());
        assertTrue((System.nanoTime() - start) / 1e9 < 30, "seconds");
        assertFails(hurried, "timed out", "import time", "time.sleep(60)");
    }

    /** The same program in a process with {@link #mark} as its argument, which what it forks has too. */
    private String marked(String... lines) {
        return String.join(
                "\n",
                "import os, sys",
                "os.execv(sys.executable, [sys.executable, '-I', '-c', \"\"\"",
                String.join("\n", lines),
                "\"\"\", '" + mark + "'])");
    }

    private long running() {
        return ProcessHandle.allProcesses()
                .filter(process -> process.info().commandLine().orElse("").contains(mark))
                .count();
    }

    /** They were killed; a busy machine takes a while to clear them away. */
    private void assertNothingRuns() {
        await(() -> running() == 0);
        assertEquals(0, running());
    }

    private static void await(BooleanSupplier condition) {
        long start = System.nanoTime();
        while (!condition.getAsBoolean() && System.nanoTime() - start < 30_000_000_000L) {
            LockSupport.parkNanos(10_000_000);
        }
    }

    /** Neither does it reach the limit of the machine, nor does a process of it live on. */
    @ParameterizedTest
    @MethodSource("sandboxes")
    void a_fork_bomb_ends_with_all_its_processes(CodeSandbox sandbox) throws IOException {
        CodeSandbox hurried = hurried(sandbox);
        String first = marked("import os, time", "while True:", "    os.fork()", "    time.sleep(0.001)");
        assertFalse(hurried.run(first).passed());
        assertNothingRuns();
        String second =
                marked("import os, time", "while True:", "    try: os.fork()", "    except OSError: time.sleep(0.01)");
        assertFalse(hurried.run(second).passed());
        assertNothingRuns();
    }

    @ParameterizedTest
    @MethodSource("sandboxes")
    void what_a_program_leaves_in_the_background_ends_with_it(CodeSandbox sandbox) throws IOException {
        run(sandbox, marked("import os, time", "if os.fork() == 0: time.sleep(300)"));
        assertNothingRuns();
    }

    @ParameterizedTest
    @MethodSource("sandboxes")
    void a_child_in_a_process_group_of_its_own_ends_when_time_is_up(CodeSandbox sandbox) throws IOException {
        // Without namespaces, the limit counts all processes of the user.
        CodeLimits limits = new CodeLimits(3, 1L << 28, 1L << 20, 1 << 15);
        CodeSandbox made = sandbox(sandbox.isIsolated(), limits);
        for (String own : List.of("start_new_session=True", "preexec_fn=lambda: os.setpgid(0, 0)")) {
            assertFails(
                    made,
                    "timed out",
                    "import os, subprocess, sys",
                    "sleep = 'import time; time.sleep(300)'",
                    "subprocess.Popen([sys.executable, '-c', sleep, '" + mark + "'], " + own + ")",
                    "while True: pass");
            assertNothingRuns();
        }
    }

    @ParameterizedTest
    @MethodSource("sandboxes")
    void an_interrupt_ends_a_program_and_stays_set(CodeSandbox sandbox) throws IOException {
        Thread.currentThread().interrupt();
        assertThrows(IOException.class, () -> sandbox.run(marked("import time", "time.sleep(300)")));
        assertTrue(Thread.interrupted());
        assertNothingRuns();
        assertNoFolder(ProcessHandle.current().pid(), System.getProperty("java.io.tmpdir"));
    }

    /** With the signal that Ctrl-C or {@code kill} sends, it ends its program, whose time is far from up. */
    @ParameterizedTest
    @MethodSource("sandboxes")
    void a_jvm_that_ends_takes_its_program_along(CodeSandbox sandbox) throws Exception {
        Process jvm = jvm(sandbox.isIsolated(), 300);
        jvm.destroy();
        jvm.waitFor();
        assertNothingRuns();
        assertNoFolder(jvm.pid(), temporary.toString());
    }

    @ParameterizedTest
    @MethodSource("sandboxes")
    void a_program_whose_jvm_was_killed_ends_soon_after_its_time(CodeSandbox sandbox) throws Exception {
        Process jvm = jvm(sandbox.isIsolated(), 3);
        jvm.destroyForcibly().waitFor();
        assertNothingRuns();
    }

    /** {@return a JVM whose program is running} */
    private Process jvm(boolean isolated, int seconds) throws IOException {
        // Nobody has to get at the folder of its program.
        Files.setPosixFilePermissions(temporary, PosixFilePermissions.fromString("rwxr-xr-x"));
        Process jvm = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-Djava.io.tmpdir=" + temporary,
                        "-cp",
                        System.getProperty("java.class.path"),
                        Runner.class.getName(),
                        Boolean.toString(isolated),
                        Integer.toString(seconds))
                .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
        try (OutputStream program = jvm.getOutputStream()) {
            program.write(marked("import time", "time.sleep(300)").getBytes(StandardCharsets.UTF_8));
        }
        await(() -> running() > 0);
        assertTrue(running() > 0, "the program didn't start");
        return jvm;
    }

    /** Runs the program on its standard input. */
    static final class Runner {

        private Runner() {}

        public static void main(String[] args) throws IOException {
            String program = new String(System.in.readAllBytes(), StandardCharsets.UTF_8);
            sandbox(Boolean.parseBoolean(args[0]), limits(Integer.parseInt(args[1])))
                    .run(program);
        }
    }

    @ParameterizedTest
    @MethodSource("sandboxes")
    void threads_count_as_processes(CodeSandbox sandbox) throws IOException {
        assertFails(
                sandbox,
                "can't start new thread",
                "import threading, time",
                "for i in range(100): threading.Thread(target=time.sleep, args=(1,), daemon=True).start()");
    }

    @ParameterizedTest
    @MethodSource("sandboxes")
    void much_memory_is_refused(CodeSandbox sandbox) throws IOException {
        assertFails(sandbox, "MemoryError", "x = bytearray(10 ** 10)");
        assertFails(sandbox, "MemoryError", "x = []", "while True: x.append(bytearray(10 ** 7))");
    }

    @ParameterizedTest
    @MethodSource("sandboxes")
    void ten_gigabytes_are_not_written(CodeSandbox sandbox) throws IOException {
        assertFails(
                sandbox,
                "OSError",
                "f = open('big', 'wb')",
                "for i in range(10000): f.write(b'x' * 10 ** 6); f.flush()");
        assertFails(hurried(sandbox), "", "while True: print('x' * 10 ** 6)");
    }

    @Test
    void many_files_share_one_limit_within_namespaces() throws IOException {
        assertFails(
                isolated(),
                "No space left",
                "for i in range(10000):",
                "    with open('file' + str(i), 'wb') as f: f.write(b'x' * 10 ** 5)");
    }

    @ParameterizedTest
    @MethodSource("sandboxes")
    void the_folder_and_the_environment_are_empty(CodeSandbox sandbox) throws IOException {
        CodeSandbox.Outcome outcome = run(
                sandbox,
                "import os",
                "assert os.path.samefile(os.path.expanduser('~'), '.')",
                "assert os.listdir('.') == ['program.py']",
                "assert set(os.environ) <= {'HOME', 'PATH', 'LC_ALL', 'PWD', 'OLDPWD'}, os.environ");
        assertEquals("passed", outcome.reason());
    }

    @ParameterizedTest
    @MethodSource("sandboxes")
    void a_program_is_never_root(CodeSandbox sandbox) throws IOException {
        // Within namespaces 0 is nobody outside, and has no rights.
        String message = run(sandbox, "import os", "os.setuid(1)", "os.chown('program.py', 2, 2)")
                .reason();
        assertTrue(message.contains("PermissionError") || message.contains("OSError"), message);
    }

    @ParameterizedTest
    @MethodSource("sandboxes")
    void nothing_is_left_of_a_program(CodeSandbox sandbox) throws IOException {
        assertTrue(run(sandbox, "open('left', 'w').write('x')").passed());
        assertTrue(
                run(sandbox, "import os", "assert not os.path.exists('left')").passed());
        assertTrue(run(
                        sandbox,
                        "import os",
                        "os.mkdir('x')",
                        "open('x/y', 'w').close()",
                        "os.chmod('x', 0)",
                        "os.symlink('/', 'z')")
                .passed());
        assertNoFolder(ProcessHandle.current().pid(), System.getProperty("java.io.tmpdir"));
    }

    private static void assertNoFolder(long jvm, String temporary) throws IOException {
        try (Stream<Path> folders = Files.list(Path.of(temporary))) {
            assertEquals(
                    List.of(),
                    folders.filter(folder ->
                                    folder.getFileName().toString().startsWith("dl4j-retention-code-" + jvm + "-"))
                            .toList());
        }
    }

    @Test
    void the_home_folder_and_other_files_are_not_there_within_namespaces() throws IOException {
        Path secret = Files.writeString(temporary.resolve("secret"), "secret");
        assertFails(isolated(), "FileNotFoundError", "open('" + secret + "')");
        assertFails(
                isolated(), "FileNotFoundError", "import os", "os.listdir('" + System.getProperty("user.home") + "')");
        assertFails(isolated(), "FileNotFoundError", "open('/etc/passwd')");
    }

    @Test
    void the_systems_programs_cannot_be_changed() throws IOException {
        assertFails(isolated(), "Read-only file system", "open('/usr/bin/" + mark + "', 'w')");
        assertFalse(Files.exists(Path.of("/usr/bin/" + mark)));
    }

    @Test
    void a_socket_reaches_nothing_within_namespaces() throws IOException {
        assertFails(isolated(), "unreachable", "import socket", "socket.create_connection(('192.0.2.1', 80), 1)");
        try (ServerSocket server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            assertFails(
                    isolated(),
                    "Error",
                    "import socket",
                    "socket.create_connection(('127.0.0.1', " + server.getLocalPort() + "), 1)");
        }
    }

    @Test
    void other_processes_are_out_of_sight_within_namespaces() throws IOException {
        assertFails(
                isolated(),
                "ProcessLookupError",
                "import os",
                "os.kill(" + ProcessHandle.current().pid() + ", 9)");
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
