package io.github.dl4jretention.checkpoint;

import io.github.dl4jretention.internal.AtomicFile;
import io.github.dl4jretention.internal.CheckedZip;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.teacher.MovingAverageTeacher;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.stream.Stream;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A folder of checkpoints, of which the newest few are kept. Each is a file of the model, as DL4J reads it or with the
 * SameDiff model as an entry, with its provenance and where the run stands.
 */
final class Checkpoints {

    private static final Logger LOG = LoggerFactory.getLogger(Checkpoints.class);
    private static final String PREFIX = "checkpoint-";
    private static final String SUFFIX = ".zip";
    private static final String AVERAGE = "movingAverage%d.bin";

    private final Path folder;
    private final int keep;

    /** A checkpoint that was read, its entries verified. */
    record Saved<M>(Student<M> student, RunState state, Provenance provenance, String settings, Path file) {

        /**
         * @throws IllegalStateException if another seed, description of the data, loss, mask, student, number of
         *     epochs or of minibatches of a step was asked for; the message names it
         */
        void requireGoesOn(Student<M> start, long seed, String data, String mask, int epochs, int accumulate)
                throws IOException {
            require("seed", state.seed(), seed);
            require("accumulate", state.accumulate(), accumulate);
            require("data", provenance.data(), data);
            require("configuration", configurations(student), configurations(start));
            require("divergenceMask", state.mask(), mask);
            StudentSettings.difference(settings, student.settings(), start.settings())
                    .ifPresent(difference -> {
                        throw new IllegalStateException("student: expected one trained as the first of " + file + ": "
                                + difference + "; give the same student to go on, or name a new folder to begin anew");
                    });
            if (state.epoch() > epochs) {
                throw new IllegalStateException("epochs: expected at least the " + state.epoch() + " that " + file
                        + " has finished, got " + epochs);
            }
        }

        private void require(String what, Object expected, Object found) {
            if (!expected.equals(found)) {
                throw new IllegalStateException(what + ": expected " + expected + " of " + file + ", got " + found);
            }
        }

        private static Map<String, RetentionConfiguration> configurations(Student<?> student) {
            Map<String, RetentionConfiguration> configurations = new TreeMap<>();
            student.losses().forEach((name, loss) -> configurations.put(name, loss.configuration()));
            return configurations;
        }

        /**
         * Brings moving averages to where they were.
         *
         * @throws IllegalStateException if the file has another number of them
         */
        void restoreAverages(List<MovingAverageTeacher> averages) throws IOException {
            try (CheckedZip zip = new CheckedZip(file)) {
                int saved = 0;
                while (zip.has(average(saved))) {
                    saved++;
                }
                require("average: number of moving averages, the teacher's and the run's", saved, averages.size());
                for (int i = 0; i < averages.size(); i++) {
                    try (INDArray average = zip.array(average(i))) {
                        averages.get(i).restore(average);
                    }
                }
            }
        }
    }

    private static String average(int index) {
        return String.format(Locale.ROOT, AVERAGE, index);
    }

    Checkpoints(Path folder, int keep) throws IOException {
        this.folder = folder;
        this.keep = keep;
        try {
            Files.createDirectories(folder);
        } catch (IOException e) {
            throw new IOException("folder: expected one that is there or can be made, got " + folder + ": " + e, e);
        }
    }

    /**
     * Writes one, then removes what is older than it, but for the newest few. Newer ones are damaged, and stay.
     *
     * @param averages  moving averages of the student
     * @param settings  of the student that the run began with
     * @param iteration of the run
     * @param state     where the run stands, with the CRC-32 of all other entries by their names
     * @throws IOException if it cannot be written; the message names it, and older ones are as they were
     */
    Path write(
            Student<?> student,
            List<MovingAverageTeacher> averages,
            String settings,
            Provenance provenance,
            int iteration,
            Function<Map<String, Long>, RunState> state)
            throws IOException {
        student.note(provenance);
        Path file = folder.resolve(String.format(Locale.ROOT, "%s%09d%s", PREFIX, iteration, SUFFIX));
        write(file, out -> {
            CheckedZip.Writer zip = new CheckedZip.Writer(out);
            for (Map.Entry<String, AtomicFile.Content> entry : student.entries().entrySet()) {
                zip.add(entry.getKey(), entry.getValue());
            }
            for (int i = 0; i < averages.size(); i++) {
                zip.add(average(i), NetworkStudent.array(averages.get(i).params()));
            }
            zip.add(StudentSettings.ENTRY, entry -> entry.write(settings.getBytes(StandardCharsets.UTF_8)));
            zip.add(Provenance.ENTRY, provenance::writeTo);
            byte[] json = Json.write(state.apply(zip.checksums())).getBytes(StandardCharsets.UTF_8);
            zip.add(RunState.ENTRY, entry -> entry.write(json));
            zip.finish();
        });
        for (Path old : newestFirst().stream()
                .filter(other -> other.compareTo(file) < 0)
                .skip(keep - 1L)
                .toList()) {
            Files.deleteIfExists(old);
        }
        return file;
    }

    private void write(Path file, AtomicFile.Content content) throws IOException {
        try {
            AtomicFile.write(file, content);
        } catch (IOException e) {
            throw new IOException("checkpoint: " + e.getMessage() + advice(), e);
        }
    }

    /** What there is to go on with; empty if the folder can't be looked at. */
    private String advice() {
        try {
            List<Path> whole = newestFirst();
            return "; " + (Files.getFileStore(folder).getUsableSpace() >> 20) + " MB are free in " + folder
                    + ". Make room, then start the run again: it picks up "
                    + (whole.isEmpty() ? "from the start" : "from " + whole.get(0));
        } catch (IOException e) {
            LOG.debug("{} can't be listed", folder, e);
            return "";
        }
    }

    /**
     * The newest one that can be read; one that cannot is passed over with a warning.
     *
     * @param start a student of the same kind
     * @throws IOException if there are checkpoints, and none can be read
     * @throws IllegalStateException if it is of another kind of model, or has adapters of another base
     */
    <M> Optional<Saved<M>> newest(Student<M> start) throws IOException {
        AtomicFile.removeParts(folder, PREFIX);
        IOException failure = null;
        for (Path file : newestFirst()) {
            try {
                return Optional.of(read(file, start));
            } catch (IOException e) {
                LOG.warn("checkpoint {} cannot be read ({}), the one before it is tried", file, e.getMessage());
                failure = new IOException("folder: none of the checkpoints in " + folder + " can be read", e);
            }
        }
        if (failure != null) {
            throw failure;
        }
        return Optional.empty();
    }

    /** @throws IOException if it cannot be read; the message names it */
    static <M> Saved<M> read(Path file, Student<M> start) throws IOException {
        try (CheckedZip zip = new CheckedZip(file)) {
            RunState state = Json.read(zip.bytes(RunState.ENTRY), RunState.class, file);
            for (Map.Entry<String, Long> entry : state.entries().entrySet()) {
                if (zip.statedChecksum(entry.getKey()) != entry.getValue()) {
                    throw new IOException(
                            "file " + file + ": entry " + entry.getKey() + ": expected bytes of the checksum in "
                                    + RunState.ENTRY + ", got others; the file is damaged");
                }
            }
            String settings = new String(zip.bytes(StudentSettings.ENTRY), StandardCharsets.UTF_8);
            if (!state.kind().equals(kind(start))) {
                throw new IllegalStateException("student: expected a " + state.kind() + ", of which " + file
                        + " is a checkpoint, got a " + kind(start));
            }
            requireBases(file, StudentSettings.bases(settings), StudentSettings.bases(start.settings()));
            Provenance provenance = Json.read(zip.bytes(Provenance.ENTRY), Provenance.class, file);
            Student<M> student = restore(start, zip, file);
            try {
                // Of what has been read already they are known.
                for (String entry : state.entries().keySet()) {
                    zip.checksum(entry);
                }
            } catch (IOException e) {
                student.release();
                throw e;
            }
            return new Saved<>(student, state, provenance, settings, file);
        }
    }

    /** Without its own base a student with adapters can't even be read. */
    private static void requireBases(Path file, Set<String> expected, Set<String> found) {
        if (!expected.equals(found)) {
            throw new IllegalStateException("base: expected adapters of the network with SHA-256 " + expected
                    + ", which " + file + " has, got adapters of " + found
                    + "; give the same base to go on, or name a new folder to begin anew");
        }
    }

    private static <M> Student<M> restore(Student<M> start, CheckedZip zip, Path file) throws IOException {
        try {
            return start.restore(zip);
        } catch (RuntimeException e) {
            throw new IOException("file " + file + ": expected a student, got: " + e, e);
        } catch (OutOfMemoryError e) {
            throw new IOException(
                    "file " + file + ": expected memory for the student, got too little: " + e.getMessage(), e);
        }
    }

    static String kind(Student<?> student) {
        return student.model().getClass().getSimpleName();
    }

    private List<Path> newestFirst() throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.filter(file -> file.getFileName().toString().startsWith(PREFIX)
                            && file.getFileName().toString().endsWith(SUFFIX))
                    .sorted(Comparator.reverseOrder())
                    .toList();
        }
    }
}
