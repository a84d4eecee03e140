package io.github.dl4jretention.listener;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.apache.commons.csv.CSVFormat;
import org.apache.commons.csv.CSVPrinter;

/**
 * Writes reports as rows of a CSV file, each at once. If the file is there already, for instance after a restart, rows
 * are added to it; a run that picks up from a checkpoint writes the rows since that checkpoint again.
 */
public final class ReportCsv implements ReportSink {

    private static final String HEADER =
            "iteration,epoch,output,tokens,cross_entropy,divergence,coefficient,total,agreement,gradient_norm";

    private final CSVPrinter printer;

    /**
     * @param file to write; folders are made
     * @throws IOException if it cannot be written, or holds something else than reports; nothing is overwritten
     */
    public ReportCsv(Path file) throws IOException {
        Files.createDirectories(file.toAbsolutePath().getParent());
        boolean continued = Files.exists(file) && Files.size(file) > 0;
        if (continued) {
            requireReports(file);
        }
        Writer writer = Files.newBufferedWriter(
                file, StandardCharsets.UTF_8, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
        printer = new CSVPrinter(writer, CSVFormat.RFC4180);
        if (!continued) {
            printer.printRecord((Object[]) HEADER.split(","));
        } else if (!endsWithLine(file)) {
            printer.println();
        }
        printer.flush();
    }

    /** Whether the last line was not cut off by a crash. */
    private static boolean endsWithLine(Path file) throws IOException {
        try (RandomAccessFile bytes = new RandomAccessFile(file.toFile(), "r")) {
            bytes.seek(bytes.length() - 1);
            return bytes.read() == '\n';
        }
    }

    private static void requireReports(Path file) throws IOException {
        try (var lines = Files.lines(file, StandardCharsets.UTF_8)) {
            String found = lines.findFirst().orElse("");
            if (!found.equals(HEADER)) {
                throw new IOException("file: expected a new file or one with the header \"" + HEADER + "\", got " + file
                        + " with \"" + found + "\"");
            }
        } catch (UncheckedIOException e) {
            throw new IOException("file: expected a new file or one of reports, got " + file + ", which is no text", e);
        }
    }

    @Override
    public void accept(RetentionReport report) {
        try {
            printer.printRecord(
                    report.iteration(),
                    report.epoch(),
                    report.output(),
                    report.tokens(),
                    report.crossEntropy(),
                    report.divergence(),
                    report.coefficient(),
                    report.total(),
                    report.agreement(),
                    report.gradientNorm());
            printer.flush();
        } catch (IOException e) {
            throw new UncheckedIOException("a report could not be written", e);
        }
    }

    @Override
    public void close() {
        try {
            printer.close();
        } catch (IOException e) {
            throw new UncheckedIOException("the reports could not be closed", e);
        }
    }
}
