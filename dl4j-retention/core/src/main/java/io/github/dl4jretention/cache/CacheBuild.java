package io.github.dl4jretention.cache;

import io.github.dl4jretention.internal.FolderLock;
import io.github.dl4jretention.loss.LabelArrays;
import io.github.dl4jretention.loss.LabelLayout;
import io.github.dl4jretention.teacher.DivergenceMask;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherOutput;
import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;
import org.nd4j.linalg.indexing.INDArrayIndex;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Opens a cache's folder and, under its lock, lets one pass over the data write the sequences that it lacks. While that
 * goes on there's a line in the log every ten seconds.
 */
final class CacheBuild {

    private static final Logger LOG = LoggerFactory.getLogger(TeacherCache.class);
    private static final long EVERY = TimeUnit.SECONDS.toNanos(10);

    private final CacheFolder folder;
    private final CacheSource source;
    private final BatchEncoder encoder;
    private final long shardBytes;
    private final long expected;
    private final Set<SequenceId> known = new HashSet<>();
    private @Nullable CacheLayout layout;
    private @Nullable ShardWriter shard;
    private long computed;
    private long sequences;
    private long started;
    private long told;

    /**
     * @param source     asked for its teacher when the first sequence is missing
     * @param shardBytes size from which a shard is completed
     * @param expected   number of sequences; 0 if it is not known
     */
    CacheBuild(CacheFolder folder, CacheSource source, BatchEncoder encoder, long shardBytes, long expected) {
        this.folder = folder;
        this.source = source;
        this.encoder = encoder;
        this.shardBytes = shardBytes;
        this.expected = expected;
    }

    /**
     * @param shards   of the complete cache
     * @param computed tokens that the teacher was asked for
     * @param seconds  that took
     */
    record Opened(List<Shard> shards, long computed, double seconds) {}

    /**
     * @param iterator touched only if the cache is not complete
     * @throws IOException if a file cannot be read or written; the message names it, and complete shards stay
     */
    Opened open(MultiDataSetIterator iterator) throws IOException {
        CacheFolder.Content content = folder.content();
        if (content.complete()) {
            return new Opened(content.shards(), 0, 0);
        }
        try {
            Files.createDirectories(folder.path());
        } catch (IOException e) {
            throw new IOException(
                    "folder: expected one that can be written to, got "
                            + folder.path().getParent() + " (" + e + ")",
                    e);
        }
        try (FolderLock lock = FolderLock.await(folder.path(), "cache")) {
            // Another process may have completed it.
            content = folder.content();
            return content.complete() ? new Opened(content.shards(), 0, 0) : write(content, iterator);
        }
    }

    private Opened write(CacheFolder.Content content, MultiDataSetIterator iterator) throws IOException {
        report(content);
        started = System.nanoTime();
        told = started;
        try {
            folder.keepOnly(content.shards());
            complete(content.shards(), iterator);
            CacheFolder.Content written = folder.content();
            if (!written.damaged().isEmpty()) {
                throw new IOException("shards were damaged meanwhile, " + written.damaged());
            }
            List<Shard> shards = written.shards();
            if (shards.isEmpty()) {
                throw new IllegalArgumentException("iterator: expected at least one sequence, got none");
            }
            folder.writeManifest(shards);
            return new Opened(shards, computed, seconds());
        } catch (IOException e) {
            throw new IOException(
                    "cache: " + folder.path() + " cannot be written: " + e.getMessage()
                            + "; its complete shards are kept",
                    e);
        }
    }

    private void report(CacheFolder.Content content) {
        if (!content.damaged().isEmpty() || content.finished()) {
            LOG.warn(
                    "cache {}: damaged, what is missing is computed again: {}",
                    folder.path(),
                    content.damaged().isEmpty() ? "a file is missing" : content.damaged());
        } else {
            LOG.info(
                    "cache {}: is written, {} shards are there",
                    folder.path(),
                    content.shards().size());
        }
    }

    private void tell(int more) {
        sequences += more;
        if (System.nanoTime() - told >= EVERY) {
            told = System.nanoTime();
            double rate = sequences / seconds();
            String left = expected <= sequences
                    ? ""
                    : String.format(Locale.ROOT, " of %d, %.0f s left", expected, (expected - sequences) / rate);
            LOG.info("cache {}: {} sequences{}, {} a second", folder.path(), sequences, left, Math.round(rate));
        }
    }

    private double seconds() {
        return (System.nanoTime() - started) / 1e9;
    }

    private void complete(List<Shard> shards, MultiDataSetIterator iterator) throws IOException {
        for (Shard there : shards) {
            for (int sequence = 0; sequence < there.sequences(); sequence++) {
                known.add(there.id(sequence));
            }
            layout = there.layout();
        }
        if (!iterator.resetSupported()) {
            throw new IllegalArgumentException("iterator: expected one that can be reset");
        }
        iterator.reset();
        try {
            while (iterator.hasNext()) {
                write(iterator.next());
            }
            complete();
        } finally {
            if (shard != null) {
                shard.close();
            }
        }
        iterator.reset();
    }

    private void write(MultiDataSet batch) throws IOException {
        BatchSequences sequences =
                BatchSequences.of(batch.getFeatures(), batch.getFeaturesMaskArrays(), source.trims());
        List<Integer> missing = new ArrayList<>();
        for (int example = 0; example < sequences.ids().length; example++) {
            if (known.add(sequences.ids()[example])) {
                missing.add(example);
            }
        }
        if (!missing.isEmpty()) {
            Teacher teacher = source.teacher().get();
            INDArray[] values = teacher.logProbabilities(batch.getFeatures(), batch.getFeaturesMaskArrays());
            List<BatchEncoder.Entry> entries;
            try {
                for (int i = 0; i < values.length; i++) {
                    requireNumbers(batch, teacher.outputs().get(i), values[i]);
                }
                if (layout == null) {
                    layout = CacheLayout.of(teacher.outputs(), values);
                }
                entries = encoder.encode(layout, values, sequences, missing);
            } finally {
                Arrays.stream(values).forEach(LabelArrays::release);
            }
            for (int i = 0; i < entries.size(); i++) {
                write(sequences.ids()[missing.get(i)], entries.get(i));
            }
        }
        tell(sequences.ids().length);
    }

    /**
     * A logit that is NaN or +Infinity makes all classes of its token NaN, and so do logits that are all -Infinity: one
     * class is enough to look at.
     */
    private static void requireNumbers(MultiDataSet batch, TeacherOutput output, INDArray values) {
        int classAxis = output.classAxis(values.rank());
        INDArrayIndex[] first = new INDArrayIndex[values.rank()];
        Arrays.fill(first, NDArrayIndex.all());
        first[classAxis] = NDArrayIndex.point(0);
        double[] numbers = flat(values.get(first));
        if (Arrays.stream(numbers).noneMatch(Double::isNaN)) {
            return;
        }
        boolean[] counts = counts(batch, output, values, numbers.length);
        for (int token = 0; token < numbers.length; token++) {
            if (counts[token] && Double.isNaN(numbers[token])) {
                throw new IllegalArgumentException(
                        "features: expected finite numbers for every token that counts, the teacher's logits are not"
                                + " finite for token " + token + " of output \"" + output.name() + "\" of shape "
                                + Arrays.toString(values.shape()));
            }
        }
    }

    /** Tokens that neither a mask nor padding leaves out, one sequence after another. */
    private static boolean[] counts(MultiDataSet batch, TeacherOutput output, INDArray values, int tokens) {
        boolean[] counts = new boolean[tokens];
        Arrays.fill(counts, true);
        INDArray[] masks = batch.getLabelsMaskArrays();
        leaveOut(counts, masks == null ? null : masks[output.index()], 0);
        leaveOut(counts, values.rank() == 3 ? DivergenceMask.LABEL_MASK.of(batch, output, values) : null, 0);
        INDArray[] labels = batch.getLabels();
        INDArray label = labels == null || output.index() >= labels.length ? null : labels[output.index()];
        if (label != null && label.length() == tokens) {
            leaveOut(counts, label, LabelLayout.PADDING);
        } else if (label != null && Arrays.equals(label.shape(), values.shape())) {
            leaveOut(counts, label.castTo(DataType.FLOAT).norm1(output.classAxis(values.rank())), 0);
        }
        return counts;
    }

    /** @param array one number for each token; null or of another length for none */
    private static void leaveOut(boolean[] counts, @Nullable INDArray array, double nothing) {
        if (array != null && array.length() == counts.length) {
            double[] found = flat(array);
            for (int token = 0; token < found.length; token++) {
                counts[token] &= found[token] != nothing;
            }
        }
    }

    private static double[] flat(INDArray array) {
        try (INDArray copy = array.dup('c')) {
            return copy.data().asDouble();
        }
    }

    private void write(SequenceId id, BatchEncoder.Entry entry) throws IOException {
        if (shard != null && !shard.fits(entry.bytes().remaining())) {
            complete();
        }
        if (shard == null) {
            shard = new ShardWriter(folder.nextShard(), folder.sha256(), Objects.requireNonNull(layout));
        }
        shard.add(id, entry.bytes(), entry.tokens());
        computed += entry.tokens();
        if (shard.size() >= shardBytes) {
            complete();
        }
    }

    private void complete() throws IOException {
        if (shard != null) {
            shard.complete();
            shard = null;
        }
    }
}
