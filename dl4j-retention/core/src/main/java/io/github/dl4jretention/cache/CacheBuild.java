package io.github.dl4jretention.cache;

import io.github.dl4jretention.loss.RetentionLabels;
import io.github.dl4jretention.teacher.Teacher;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;

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
