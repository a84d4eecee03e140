package io.github.dl4jretention.sweep;

import io.github.dl4jretention.internal.AtomicFile;
import io.github.dl4jretention.internal.FolderLock;
import io.github.dl4jretention.sweep.outcome.CandidateOutcome;
import io.github.dl4jretention.sweep.outcome.SweepOutcome;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * The files of a sweep. Each appears whole and forced to the disk, or not at all. One sweep at a time works in a folder.
 */
final class SweepFolder implements AutoCloseable {

    static final String TABLE = "candidates.csv";
    static final String REPORT = "report.html";
    static final String TRADE_OFF = "tradeoff.png";
    static final String CROSS_ENTROPY = "cross-entropy.png";
    static final String DIVERGENCE = "divergence.png";

    /** Of a setting in a message: a SHA-256 is whole. */
    private static final int LONGEST = 64;

    private static final String STATE = "sweep.json";
    private static final String MODELS = "models";
    private static final Pattern MODEL = Pattern.compile("candidate-\\d{3,}\\.zip");
    private static final List<String> RESULTS = List.of(TABLE, REPORT, TRADE_OFF, CROSS_ENTROPY, DIVERGENCE);

    private final Path folder;
    private final FolderLock lock;

    /** Writes one file. */
    @FunctionalInterface
    interface Content {
        void writeTo(Path file) throws IOException;
    }

    /** @throws IOException if a folder can't be written to; the message names it */
    static void requireWritable(Path folder) throws IOException {
        try {
            Files.createDirectories(folder);
            Files.delete(Files.createTempFile(folder, "writable", ".part"));
        } catch (IOException e) {
            throw new IOException("folder: expected one that can be written to, got " + folder + " (" + e + ")", e);
        }
    }

    /**
     * Locks the folder.
     *
     * @throws IOException           if the folder can't be written to; the message names it
     * @throws IllegalStateException if another sweep works in it
     */
    SweepFolder(Path folder) throws IOException {
        this.folder = folder;
        try {
            Files.createDirectories(folder.resolve(MODELS));
        } catch (IOException e) {
            throw new IOException("folder: expected one that can be written to, got " + folder + " (" + e + ")", e);
        }
        lock = FolderLock.of(folder, "sweep");
    }

    /**
     * What an earlier start has found; empty in a new folder.
     *
     * @param configuration of this sweep
     * @throws IOException if it can't be read; the message names the file
     * @throws IllegalStateException if it's another sweep, or there are files of a sweep's names that are not a sweep's
     */
    Optional<SweepOutcome> read(Map<String, String> configuration) throws IOException {
        Path file = folder.resolve(STATE);
        if (!Files.exists(file)) {
            requireNothingOfOthers();
            return Optional.empty();
        }
        try {
            SweepOutcome found = SweepOutcome.fromJson(Files.readString(file));
            requireSame(configuration, found.configuration());
            return Optional.of(found);
        } catch (IllegalArgumentException e) {
            throw new IOException("folder: expected a sweep's " + file + ": " + e.getMessage(), e);
        }
    }

    private void requireSame(Map<String, String> configuration, Map<String, String> found) {
        List<String> differences = new ArrayList<>();
        configuration.forEach((name, value) -> {
            if (!value.equals(found.get(name))) {
                differences.add(name + ": " + shortened(found.get(name)) + " there, " + shortened(value) + " here");
            }
        });
        if (!differences.isEmpty()) {
            throw new IllegalStateException("folder: expected a new one or one of this sweep, got " + folder
                    + " of another: " + String.join("; ", differences)
                    + "; name a new folder, or set what differs as it was");
        }
    }

    /** Spaces are as long as a page; report.html has them whole. */
    private static String shortened(@Nullable String value) {
        return value == null ? "none" : value.length() <= LONGEST ? value : value.substring(0, LONGEST) + "...";
    }

    /** A sweep writes its state before anything else, so files without it are somebody else's. */
    private void requireNothingOfOthers() throws IOException {
        List<String> others = new ArrayList<>(RESULTS);
        others.removeIf(name -> !Files.exists(folder.resolve(name)));
        try (Stream<Path> models = Files.list(folder.resolve(MODELS))) {
            if (models.findAny().isPresent()) {
                others.add(MODELS);
            }
        }
        if (!others.isEmpty()) {
            throw new IllegalStateException("folder: expected a new one or one of this sweep, got " + folder + " with "
                    + String.join(", ", others) + " and without " + STATE);
        }
    }

    void write(SweepOutcome sweep) throws IOException {
        write(STATE, sweep.toJson());
    }

    void write(String name, String text) throws IOException {
        write(name, file -> Files.writeString(file, text, StandardCharsets.UTF_8));
    }

    /** @throws IOException if it can't be written; what was there stays as it was */
    void write(String name, Content content) throws IOException {
        Path file = folder.resolve(name);
        try (AtomicFile atomic = new AtomicFile(file)) {
            content.writeTo(atomic.part());
            atomic.commit();
        } catch (IOException | RuntimeException e) {
            throw new IOException("file: couldn't be written: " + file + ": " + e.getMessage(), e);
        }
    }

    /** File of a candidate's model, relative to the folder. */
    static String model(int candidate) {
        return String.format(Locale.ROOT, "%s/candidate-%03d.zip", MODELS, candidate);
    }

    Path resolve(String name) {
        return folder.resolve(name);
    }

    /** Candidates on the front whose model is gone. */
    Set<Integer> lost(SweepOutcome found) {
        return found.front().stream()
                .map(CandidateOutcome::index)
                .filter(candidate -> !Files.exists(folder.resolve(model(candidate))))
                .collect(Collectors.toSet());
    }

    /** Removes the models of all other candidates, and what a killed sweep was writing. */
    void keepModels(Set<String> names) throws IOException {
        List<Path> old = new ArrayList<>();
        try (Stream<Path> models = Files.list(folder.resolve(MODELS))) {
            models.filter(file -> isOldModel(file.getFileName().toString(), names))
                    .forEach(old::add);
        }
        RESULTS.forEach(name -> old.add(folder.resolve(name + AtomicFile.PART)));
        old.add(folder.resolve(STATE + AtomicFile.PART));
        for (Path file : old) {
            Files.deleteIfExists(file);
        }
    }

    private static boolean isOldModel(String name, Set<String> kept) {
        String whole =
                name.endsWith(AtomicFile.PART) ? name.substring(0, name.length() - AtomicFile.PART.length()) : name;
        return MODEL.matcher(whole).matches() && !(kept.contains(MODELS + "/" + name));
    }

    @Override
    public void close() throws IOException {
        lock.close();
    }
}
