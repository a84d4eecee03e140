package io.github.dl4jretention.cache;

import io.github.dl4jretention.loss.LabelArrays;
import io.github.dl4jretention.loss.RetentionLabels;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherException;
import io.github.dl4jretention.teacher.TeacherOutput;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.OptionalDouble;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.adapter.MultiDataSetIteratorAdapter;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A teacher whose distributions lie on the disk: written once, read through a memory map on any later epoch, run or
 * sweep. It stands where the teacher would, with the teacher's identity:
 *
 * <pre>{@code
 * TeacherCache cache = TeacherCache.builder()
 *         .pretrained(pretrained)
 *         .folder(Path.of("cache"))
 *         .data("corpus of May, windows of 64 bytes")
 *         .build(iterator);                                        // writes what is missing, one pass over the data
 * student.fit(new TeacherIterator(iterator, cache), epochs);
 * }</pre>
 *
 * <p><b>Sequences</b> are found by what is in them, the SHA-256 of their features and mask: shuffling and other
 * minibatches change nothing, and a sequence that the cache lacks is noticed. Where a features mask ends in zeros, the
 * padding that it leaves out is not kept, unless both axes of the features have the mask's length; the teacher's values
 * there are NaN and must be masked in the labels too.
 *
 * <p><b>Files.</b> A cache has a folder of its own, named after its key: the SHA-256 of the teacher's identity and
 * outputs, the descriptions of data and tokenisation, the codec with its temperature, the seed and the files' format.
 * It is verified by checksums when it is opened. Shards that are not as they were written are never used: they are
 * written again, with one warning. Shards appear completely or not at all, and what was completed before a crash is not
 * computed again. Only one process at a time writes a cache; others wait, then share it.
 *
 * <p><b>Samples.</b> The default codec keeps a random sample, see {@link CacheCodec}: students must use forward KL, at
 * the codec's temperature, with a coefficient that is not adaptive, and the divergence that they report is that from
 * the sample, which is larger. Evaluate with the teacher itself.
 */
public final class TeacherCache extends Teacher {

    private static final Logger LOG = LoggerFactory.getLogger(TeacherCache.class);

    private final CacheSource source;
    private final CacheCodec codec;
    private final String encoding;
    private final CacheLayout layout;
    private final BatchDecoder decoder;
    private final BatchEncoder encoder;
    private @Nullable SequenceIndex index;
    private final CacheStatistics statistics;
    private final Path folder;
    private final boolean computesMissing;

    private TeacherCache(
            Builder builder, CacheSource source, CacheFolder folder, CacheBuild.Opened opened, BatchEncoder encoder) {
        this.source = source;
        codec = builder.codec;
        encoding = codec.description() + (codec.sampledAt().isPresent() ? " seed " + builder.seed : "");
        layout = opened.shards().get(0).layout();
        decoder = new BatchDecoder(codec, layout);
        this.encoder = encoder;
        index = new SequenceIndex(opened.shards());
        statistics = CacheStatistics.of(opened);
        this.folder = folder.path();
        computesMissing = builder.computeMissing;
    }

    /**
     * {@return a builder with the defaults: {@link CacheCodec#standard}, seed 0, shards of 16 MiB, missing sequences
     * refused}
     */
    public static Builder builder() {
        return new Builder();
    }

    @Override
    public String sha256() {
        return source.sha256();
    }

    @Override
    public boolean isFrozen() {
        return true;
    }

    @Override
    public List<TeacherOutput> outputs() {
        return layout.outputs().stream().map(CacheLayout.Output::output).toList();
    }

    @Override
    public OptionalDouble sampledAt() {
        return codec.sampledAt();
    }

    @Override
    public boolean givesEveryClass() {
        return codec.sampledAt().isEmpty()
                && layout.outputs().stream()
                        .mapToInt(CacheLayout.Output::vocabulary)
                        .allMatch(v -> codec.entries(v) == 0 || codec.entries(v) == v);
    }

    /** {@return the codec with its temperature, and its seed where values are drawn} */
    @Override
    public String encoding() {
        return encoding;
    }

    /** {@return what it holds and what it took to write, when it was opened} */
    public CacheStatistics statistics() {
        return statistics;
    }

    /** {@return where its files are: a folder named after its key in the builder's} */
    public Path folder() {
        return folder;
    }

    /**
     * @throws TeacherException if it lacks a sequence and may not compute it, or can no more because the pretrained
     *     network has changed
     * @throws IllegalArgumentException if sequences without a mask differ in length
     */
    @Override
    public INDArray[] logProbabilities(INDArray[] features, INDArray @Nullable [] featuresMasks) {
        BatchSequences sequences = BatchSequences.of(features, featuresMasks, source.trims());
        return decoder.decode(entries(features, featuresMasks, sequences), sequences.time());
    }

    /** A sample stays a sample until the loss reads it. */
    @Override
    protected void teach(MultiDataSet batch, RetentionLabels[] outputs) {
        BatchSequences sequences =
                BatchSequences.of(batch.getFeatures(), batch.getFeaturesMaskArrays(), source.trims());
        decoder.decode(
                entries(batch.getFeatures(), batch.getFeaturesMaskArrays(), sequences), sequences.time(), outputs);
    }

    private ByteBuffer[] entries(INDArray[] features, INDArray @Nullable [] featuresMasks, BatchSequences sequences) {
        SequenceIndex open = index;
        if (open == null) {
            throw new IllegalStateException("cache: expected one that is open, " + folder
                    + " was closed; open it again by TeacherCache.builder()");
        }
        ByteBuffer[] entries = new ByteBuffer[sequences.ids().length];
        List<Integer> lacking = new ArrayList<>();
        for (int example = 0; example < entries.length; example++) {
            entries[example] = open.find(sequences.ids()[example]);
            if (entries[example] == null) {
                lacking.add(example);
            }
        }
        if (!lacking.isEmpty()) {
            compute(features, featuresMasks, sequences, lacking, entries);
        }
        return entries;
    }

    private void compute(
            INDArray[] features,
            INDArray @Nullable [] masks,
            BatchSequences sequences,
            List<Integer> lacking,
            ByteBuffer[] entries) {
        if (!computesMissing) {
            throw new TeacherException("features: expected sequences of the cache " + folder + ", it lacks "
                    + lacking.size() + " of a minibatch of features of shapes "
                    + Arrays.stream(features)
                            .map(array -> Arrays.toString(array.shape()))
                            .toList()
                    + ", the first is example " + lacking.get(0)
                    + "; data that has changed needs another description, data(...), or computeMissing()");
        }
        INDArray[] values = source.teacher().get().logProbabilities(features, masks);
        List<BatchEncoder.Entry> computed;
        try {
            computed = encoder.encode(layout, values, sequences, lacking);
        } finally {
            Arrays.stream(values).forEach(LabelArrays::release);
        }
        for (int i = 0; i < lacking.size(); i++) {
            entries[lacking.get(i)] = computed.get(i).bytes();
        }
    }

    /**
     * Lets go of the files, and of the teacher that the cache made of a pretrained network; one that it was given
     * stays.
     */
    @Override
    public void close() {
        index = null;
        source.letGo().run();
    }

    /** Builds and opens a {@link TeacherCache}. */
    public static final class Builder {

        private static final long SHARD_BYTES = 1 << 24;
        private static final long MOST_SHARD_BYTES = 1 << 30;

        private @Nullable CacheSource source;
        private @Nullable Path root;
        private CacheCodec codec = CacheCodec.standard();
        private String data = "";
        private String tokenisation = "";
        private long seed;
        private long shardBytes = SHARD_BYTES;
        private long expected;
        private boolean computeMissing;

        private Builder() {}

        /**
         * @param teacher whose values follow from the features alone: no moving average, and not corrected (correct the
         *     cache instead: {@code cache.corrected(tau)}), and no samples
         * @return this builder
         * @throws IllegalArgumentException if it is another
         */
        public Builder teacher(Teacher teacher) {
            source = CacheSource.of(teacher);
            return this;
        }

        /**
         * As {@link #teacher} of {@code Teacher.of(pretrained)}, which is made only if a sequence is missing, and let
         * go when the cache is complete: with it the teacher takes no memory. With {@link #computeMissing()} the cache
         * keeps it once it is made.
         *
         * @param pretrained an initialised network that ends in softmax cross-entropy; not to be changed as long as
         *     sequences may be missing
         * @return this builder
         */
        public Builder pretrained(MultiLayerNetwork pretrained) {
            source = CacheSource.of(pretrained);
            return this;
        }

        /**
         * As {@link #pretrained(MultiLayerNetwork)}, of a graph.
         *
         * @param pretrained an initialised graph
         * @param outputs    as in {@link Teacher#of(ComputationGraph, String...)}; default: all
         * @return this builder
         */
        public Builder pretrained(ComputationGraph pretrained, String... outputs) {
            source = CacheSource.of(pretrained, outputs);
            return this;
        }

        /**
         * @param folder where caches lie, each in a folder of its own; made if need be
         * @return this builder
         */
        public Builder folder(Path folder) {
            root = folder;
            return this;
        }

        /**
         * @param codec how distributions are written; default {@link CacheCodec#standard}
         * @return this builder
         */
        public Builder codec(CacheCodec codec) {
            this.codec = Objects.requireNonNull(codec, "codec");
            return this;
        }

        /**
         * @param data description or digest of the data, part of the key; default empty
         * @return this builder
         */
        public Builder data(String data) {
            this.data = Objects.requireNonNull(data, "data");
            return this;
        }

        /**
         * @param tokenisation how the data was made into features, part of the key; default empty
         * @return this builder
         */
        public Builder tokenisation(String tokenisation) {
            this.tokenisation = Objects.requireNonNull(tokenisation, "tokenisation");
            return this;
        }

        /**
         * @param seed of samples; default 0
         * @return this builder
         */
        public Builder seed(long seed) {
            this.seed = seed;
            return this;
        }

        /**
         * @param bytes size from which a shard is completed, 1 to 2^30; default 16 MiB. A crash loses one shard at most
         * @return this builder
         * @throws IllegalArgumentException if it is another number
         */
        public Builder shardBytes(long bytes) {
            if (bytes < 1 || bytes > MOST_SHARD_BYTES) {
                throw new IllegalArgumentException("bytes: expected from 1 to " + MOST_SHARD_BYTES + ", got " + bytes);
            }
            shardBytes = bytes;
            return this;
        }

        /**
         * @param sequences of the data, for the time left in the log; default unknown
         * @return this builder
         */
        public Builder expected(long sequences) {
            expected = sequences;
            return this;
        }

        /**
         * Lets the teacher compute sequences that the complete cache lacks, each time that they are met.
         *
         * @return this builder
         */
        public Builder computeMissing() {
            computeMissing = true;
            return this;
        }

        /**
         * {@return the same as {@link #build(MultiDataSetIterator)}}
         *
         * @param iterator the training data, without the teacher's values; it must support {@code reset()}
         * @throws IOException if a file cannot be read or written
         */
        public TeacherCache build(DataSetIterator iterator) throws IOException {
            return build(new MultiDataSetIteratorAdapter(iterator));
        }

        /**
         * Opens the cache. If it is not complete, the teacher is asked for the sequences that are missing, in one pass
         * over the data; else the iterator is not touched.
         *
         * @param iterator the training data, without the teacher's values; it must support {@code reset()}
         * @return the complete cache
         * @throws IOException if a file cannot be read or written; the message names it. What is complete stays
         * @throws IllegalArgumentException if the teacher's arrays are of a form that cannot be cached
         * @throws IllegalStateException if the teacher is needed and the pretrained network has changed
         * @throws NullPointerException if the teacher or the folder is missing
         */
        public TeacherCache build(MultiDataSetIterator iterator) throws IOException {
            return open(build -> build.pass(iterator));
        }

        /**
         * Opens a cache that is complete.
         *
         * @return the cache
         * @throws IOException if a file cannot be read, or the cache isn't complete: the message says where it was
         *     looked for
         */
        public TeacherCache open() throws IOException {
            return open(null);
        }

        /**
         * {@return this cache as several processes build it}
         *
         * @throws NullPointerException if the teacher or the folder is missing
         */
        public CacheAssembly assembly() {
            CacheSource asked = Objects.requireNonNull(source, "teacher");
            CacheFolder folder = folder(asked);
            return new CacheAssembly(this, folder, new CacheParts(asked, folder, codec, seed));
        }

        private CacheFolder folder(CacheSource asked) {
            return new CacheFolder(
                    Objects.requireNonNull(root, "folder"),
                    new CacheKey(asked.sha256(), asked.outputs(), data, tokenisation, codec.description(), seed));
        }

        /** @param sequences null to open nothing but a complete cache */
        TeacherCache open(CacheBuild.@Nullable Sequences sequences) throws IOException {
            CacheSource asked = Objects.requireNonNull(source, "teacher");
            CacheFolder folder = folder(asked);
            BatchEncoder encoder = new BatchEncoder(codec, seed);
            CacheBuild.Opened opened;
            try {
                opened = new CacheBuild(folder, asked, encoder, shardBytes, expected).open(sequences);
            } finally {
                if (!computeMissing) {
                    asked.letGo().run();
                }
            }
            TeacherCache cache = new TeacherCache(this, asked, folder, opened, encoder);
            LOG.info("cache {}: {}", folder.path(), cache.statistics());
            return cache;
        }
    }
}
