package io.github.dl4jretention.cache;

import io.github.dl4jretention.loss.LabelLayout;
import io.github.dl4jretention.loss.RetentionLabels;
import io.github.dl4jretention.teacher.DivergenceMask;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherOutput;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;
import org.nd4j.linalg.indexing.INDArrayIndex;
import org.nd4j.linalg.indexing.NDArrayIndex;

/** One pass over the data that writes the sequences which a folder lacks. The caller holds the folder's lock. */
final class CacheBuild {

    private final CacheFolder folder;
    private final Supplier<Teacher> teacher;
    private final BatchEncoder encoder;
    private final boolean trims;
    private final long shardBytes;
    private final CacheProgress progress;
    private final Set<SequenceId> known = new HashSet<>();
    private @Nullable CacheLayout layout;
    private @Nullable ShardWriter shard;
    private long computed;

    /**
     * @param teacher    asked for when the first sequence is missing
     * @param trims      whether padding may be left out
     * @param shardBytes size from which a shard is completed
     */
    CacheBuild(
            CacheFolder folder,
            Supplier<Teacher> teacher,
            BatchEncoder encoder,
            boolean trims,
            long shardBytes,
            CacheProgress progress) {
        this.folder = folder;
        this.teacher = teacher;
        this.encoder = encoder;
        this.trims = trims;
        this.shardBytes = shardBytes;
        this.progress = progress;
    }

    /**
     * @param shards that are there
     * @return tokens that the teacher was asked for
     * @throws IOException if a shard cannot be written; those that were completed stay
     */
    long run(List<Shard> shards, MultiDataSetIterator iterator) throws IOException {
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
        return computed;
    }

    private void write(MultiDataSet batch) throws IOException {
        BatchSequences sequences = BatchSequences.of(batch.getFeatures(), batch.getFeaturesMaskArrays(), trims);
        List<Integer> missing = new ArrayList<>();
        for (int example = 0; example < sequences.ids().length; example++) {
            if (known.add(sequences.ids()[example])) {
                missing.add(example);
            }
        }
        if (!missing.isEmpty()) {
            INDArray[] values = teacher.get().logProbabilities(batch.getFeatures(), batch.getFeaturesMaskArrays());
            List<BatchEncoder.Entry> entries;
            try {
                for (int i = 0; i < values.length; i++) {
                    requireNumbers(batch, teacher.get().outputs().get(i), values[i]);
                }
                if (layout == null) {
                    layout = CacheLayout.of(teacher.get().outputs(), values);
                }
                entries = encoder.encode(layout, values, sequences, missing);
            } finally {
                Arrays.stream(values).forEach(RetentionLabels::release);
            }
            for (int i = 0; i < entries.size(); i++) {
                write(sequences.ids()[missing.get(i)], entries.get(i));
            }
        }
        progress.sequences(sequences.ids().length);
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
