package io.github.dl4jretention.samples.benchmark;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** A Java program of this class path in a process of its own that prints one number. */
public final class MeasuredProcess {

    private MeasuredProcess() {}

    /**
     * Runs a program to its end.
     *
     * @param program with a {@code main}
     * @param heap    its {@code -Xmx}
     * @return the number in its last line
     * @throws IOException if it fails; the message has what it printed
     */
    public static double run(Class<?> program, String heap, List<String> arguments)
            throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx" + heap,
                "-cp",
                System.getProperty("java.class.path"),
                program.getName()));
        command.addAll(arguments);
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String printed = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        int code = process.waitFor();
        List<String> lines = printed.lines().toList();
        if (code != 0 || lines.isEmpty()) {
            throw new IOException(program.getSimpleName() + " " + arguments + " ended with " + code + ":\n" + printed);
        }
        return Double.parseDouble(lines.get(lines.size() - 1));
    }
}
