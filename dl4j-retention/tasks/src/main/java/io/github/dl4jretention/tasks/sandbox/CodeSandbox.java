package io.github.dl4jretention.tasks.sandbox;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Runs Python programs that a model wrote, each in a process of its own.
 *
 * <p>On Linux with util-linux, where users may make namespaces, a program sees the system's programs and an empty folder in
 * memory, and nothing else: no network, no home folder, no other processes, no environment. {@link #isIsolated()} says
 * whether that's so here. Elsewhere it has the limits of {@link CodeLimits} and an empty environment and folder, but <b>it
 * runs as you: it can read, change and delete your files, end your processes and use the network</b>. Where root starts it,
 * it runs as nobody, with nobody's rights to do so. Of the processes that it starts, those of its process group end with it,
 * and so do its descendants in other groups if it's still running when its time is up. One in another group
 * may outlive it if its parent ended earlier, or if it was started at the last moment.
 *
 * <p>If the JVM shuts down, by Ctrl-C say, its programs end and their folders are deleted. If the JVM is killed, a program
 * ends a few seconds after its time, but its folder stays; without namespaces it may turn that alarm off, and what it
 * started isn't reached.
 *
 * <p><b>What isn't promised:</b> namespaces are no virtual machine. A program that uses an error in the kernel gets out.
 * Memory is limited for each process, not for all together. Run models that you don't trust in a virtual machine of their
 * own.
 */
public final class CodeSandbox {

    private static final Logger LOG = LoggerFactory.getLogger(CodeSandbox.class);

    /** Of what a program prints. */
    private static final int KEPT = 1 << 16;

    private static final int GRACE_SECONDS = 2;

    private static final String NOBODY = "65534";

    private final CodeLimits limits;
    private final String interpreter;
    private final boolean isolated;

    private CodeSandbox(CodeLimits limits, boolean isolated) {
        this.limits = limits;
        this.isolated = isolated;
        interpreter = Files.isExecutable(Path.of("/usr/bin/python3")) ? "/usr/bin/python3" : "python3";
    }

    /**
     * What became of a program.
     *
     * @param passed whether it ran to its end without an error
     * @param reason why not: {@code timed out}, or its last line of errors; {@code passed} if it did
     */
    public record Outcome(boolean passed, String reason) {}

    /**
     * {@return a sandbox with the default limits}
     *
     * @throws IOException as {@link #of(CodeLimits)} does
     */
    public static CodeSandbox create() throws IOException {
        return of(CodeLimits.DEFAULT);
    }

    /**
     * {@return a sandbox} It tries a small program, and logs a warning if the system can't isolate it.
     *
     * @param limits of each program
     * @throws IOException if there's no {@code /usr/bin/python3}, nor a {@code python3} on the path
     */
    public static CodeSandbox of(CodeLimits limits) throws IOException {
        Objects.requireNonNull(limits, "limits");
        if (System.getProperty("os.name").startsWith("Windows")) {
            throw new IOException("code: expected Linux or macOS to run it on, got Windows");
        }
        CodeSandbox isolated = new CodeSandbox(limits, true);
        if (Files.isExecutable(Path.of("/usr/bin/unshare"))
                && isolated.run("pass").passed()) {
            return isolated;
        }
        CodeSandbox limited = withoutNamespaces(limits);
        Outcome outcome = limited.run("pass");
        if (!outcome.passed()) {
            throw new IOException("code: expected python3 on this system to run it with, got " + outcome.reason());
        }
        LOG.warn(
                "this system can't isolate programs: what a model writes can read, change and delete your files, end your"
                        + " processes and use the network (if you're root, it does so as nobody)");
        return limited;
    }

    static CodeSandbox withoutNamespaces(CodeLimits limits) {
        return new CodeSandbox(limits, false);
    }

    /** {@return whether programs have no network and see none of your files} */
    public boolean isIsolated() {
        return isolated;
    }

    /**
     * {@return what becomes of a program} It passed if it ran to its last line: one that ends before, with success even,
     * did not.
     *
     * @param program in Python
     * @throws IOException if no process can be started
     */
    public Outcome run(String program) throws IOException {
        String mark = UUID.randomUUID().toString();
        try (CodeProcess running = new CodeProcess(isolated)) {
            Process process = running.start(command(running.folder()));
            return outcome(process, program + "\nprint('\\n" + mark + "')\n", mark);
        }
    }

    private List<String> command(Path folder) throws IOException {
        List<String> numbers = List.of(
                Integer.toString(limits.seconds()),
                Long.toString(limits.memory()),
                Long.toString(limits.files()),
                Integer.toString(limits.processes()));
        List<String> command = new ArrayList<>();
        if (isolated) {
            command.addAll(List.of("timeout", "-s", "KILL", Integer.toString(limits.seconds() + 2 * GRACE_SECONDS)));
            if (System.getProperty("user.name").equals("root")) {
                command.addAll(List.of("setpriv", "--reuid=" + NOBODY, "--regid=" + NOBODY, "--clear-groups"));
            }
            command.addAll(List.of(
                    "unshare",
                    "--user",
                    "--map-root-user",
                    "--net",
                    "--mount",
                    "--pid",
                    "--ipc",
                    "--uts",
                    "--fork",
                    "--kill-child"));
            command.addAll(List.of("sh", "-c", script("namespaces.sh"), "sandbox", folder.toString(), interpreter));
        } else {
            command.addAll(List.of(interpreter, "-I", "-c", script("limits.py"), folder.toString()));
        }
        command.addAll(numbers);
        return command;
    }

    private static String script(String name) throws IOException {
        try (InputStream stream = Objects.requireNonNull(CodeSandbox.class.getResourceAsStream(name), name)) {
            return new String(stream.readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    private Outcome outcome(Process process, String program, String mark) throws IOException {
        Tail output = new Tail(process.getInputStream());
        Tail errors = new Tail(process.getErrorStream());
        try (OutputStream input = process.getOutputStream()) {
            input.write(program.getBytes(StandardCharsets.UTF_8));
        } catch (IOException e) {
            LOG.debug("the process ended before it had read its program", e);
        }
        try {
            if (!process.waitFor(limits.seconds() + GRACE_SECONDS / 2, TimeUnit.SECONDS)) {
                return new Outcome(false, "timed out");
            }
            output.join(GRACE_SECONDS * 1000L);
            errors.join(GRACE_SECONDS * 1000L);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("code: interrupted", e);
        }
        boolean passed = process.exitValue() == 0 && output.lastLine().equals(mark);
        String error = errors.lastLine();
        return new Outcome(
                passed, passed ? "passed" : error.isEmpty() ? "ended with code " + process.exitValue() : error);
    }

    /** Reads a stream to its end and keeps the last of it. */
    private static final class Tail extends Thread {

        private final InputStream stream;
        private volatile byte[] kept = new byte[0];

        Tail(InputStream stream) {
            super("code output");
            this.stream = stream;
            setDaemon(true);
            start();
        }

        @Override
        public void run() {
            byte[] bytes = new byte[KEPT];
            try {
                for (int read = stream.read(bytes); read >= 0; read = stream.read(bytes)) {
                    ByteArrayOutputStream all = new ByteArrayOutputStream();
                    int old = Math.max(0, Math.min(kept.length, KEPT - read));
                    all.write(kept, kept.length - old, old);
                    all.write(bytes, 0, read);
                    kept = all.toByteArray();
                }
            } catch (IOException e) {
                LOG.debug("the process ended", e);
            }
        }

        String lastLine() {
            return new String(kept, StandardCharsets.UTF_8)
                    .lines()
                    .map(String::strip)
                    .filter(line -> !line.isEmpty())
                    .reduce((before, last) -> last)
                    .orElse("");
        }
    }
}
