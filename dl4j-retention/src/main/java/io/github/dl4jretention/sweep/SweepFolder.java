package io.github.dl4jretention.sweep;

import io.github.dl4jretention.sweep.outcome.SweepOutcome;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;

/**
 * The files of a sweep. Each appears at once, complete and forced to the disk, under its own name, or not at all; one sweep
 * at a time works in a folder.
 */
final class SweepFolder implements AutoCloseable {

    private static final String STATE = "sweep.json";
    private static final String LOCK = "sweep.lock";
    private static final String MODELS = "models";
    private static final String PART = ".part";

    private final Path folder;
    private final FileChannel channel;

    /** Writes one file. */
    @FunctionalInterface
    interface Content {
        void writeTo(Path file) throws IOException;
    }

    /** @throws IOException if the folder cannot be written to, or another sweep works in it; the message names it */
    SweepFolder(Path folder) throws IOException {
        this.folder = folder;
        try {
            Files.createDirectories(folder.resolve(MODELS));
            channel = FileChannel.open(folder.resolve(LOCK), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
        } catch (IOException e) {
            throw new IOException("folder: expected one that can be written to, got " + folder + " (" + e + ")", e);
        }
        if (lock() == null) {
            channel.close();
            throw new IOException("folder: expected one that no other sweep works in, got " + folder);
        }
    }

    private FileLock lock() throws IOException {
        try {
            return channel.tryLock();
        } catch (OverlappingFileLockException e) {
            return null;
        }
    }

    /**
     * What was found so far; empty in a new folder.
     *
     * @throws IOException if it cannot be read; the message names the file
     */
    Optional<SweepOutcome> read() throws IOException {
        Path file = folder.resolve(STATE);
        if (!Files.exists(file)) {
            return Optional.empty();
        }
        try {
            return Optional.of(SweepOutcome.fromJson(Files.readString(file)));
        } catch (IllegalArgumentException e) {
            throw new IOException("folder: expected a sweep's " + file + ": " + e.getMessage(), e);
        }
    }

    void write(SweepOutcome sweep) throws IOException {
        write(STATE, sweep.toJson());
    }

    void write(String name, String text) throws IOException {
        write(name, file -> Files.writeString(file, text, StandardCharsets.UTF_8));
    }

    void write(String name, Content content) throws IOException {
        Path file = folder.resolve(name);
        Path part = folder.resolve(name + PART);
        content.writeTo(part);
        try (FileChannel written = FileChannel.open(part, StandardOpenOption.WRITE)) {
            written.force(true);
        }
        Files.move(part, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    }

    /** File of a candidate's model, relative to the folder. */
    static String model(int candidate) {
        return String.format(Locale.ROOT, "%s/candidate-%03d.zip", MODELS, candidate);
    }

    Path resolve(String name) {
        return folder.resolve(name);
    }

    /** Removes models of other candidates than these, and what was being written when a sweep was killed. */
    void keepModels(Set<String> names) throws IOException {
        try (Stream<Path> files = Stream.concat(Files.list(folder.resolve(MODELS)), Files.list(folder))) {
            List<Path> old = files.filter(file -> {
                        String name = folder.relativize(file).toString().replace('\\', '/');
                        return name.startsWith(MODELS + "/") && !names.contains(name) || name.endsWith(PART);
                    })
                    .toList();
            for (Path file : old) {
                Files.delete(file);
            }
        }
    }

    @Override
    public void close() throws IOException {
        channel.close();
    }
}
