package io.github.dl4jretention.samples.benchmark;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Resident memory of this process in megabytes, as Linux counts it, and processes that measure their own. */
public final class ProcessMemory {

    private static final Path STATUS = Path.of("/proc/self/status");
    private static final Path CLEAR = Path.of("/proc/self/clear_refs");
    private static final String RESET_PEAK = "5";
    private static final double KILOBYTES = 1024;

    private ProcessMemory() {}

    /** What is resident now. */
    public static double resident() throws IOException {
        return read("VmRSS:");
    }

    /** The most that was ever resident, or since {@link #resetPeak}. */
    public static double peak() throws IOException {
        return read("VmHWM:");
    }

    /** Sets the peak to what is resident now. */
    public static void resetPeak() throws IOException {
        Files.writeString(CLEAR, RESET_PEAK);
    }

    private static double read(String field) throws IOException {
        for (String line : Files.readAllLines(STATUS)) {
            if (line.startsWith(field)) {
                return Long.parseLong(
                                line.substring(field.length()).replace("kB", "").trim())
                        / KILOBYTES;
            }
        }
        throw new IOException(STATUS + ": expected a field " + field);
    }

    /**
     * Runs a program of this class path in a process of its own.
     *
     * @param program has a {@code main} whose last line of output is a number
     * @param heap    its {@code -Xmx}
     * @return that number
     * @throws IOException if the program fails; the message has what it printed
     */
    public static double measure(Class<?> program, String heap, List<String> arguments)
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
            throw new IOException(program.getName() + " " + arguments + " ended with " + code + ":\n" + printed);
        }
        return Double.parseDouble(lines.get(lines.size() - 1));
    }
}
