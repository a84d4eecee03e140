package io.github.dl4jretention.loss.fused;

import io.github.dl4jretention.internal.BatchMemory;
import io.github.dl4jretention.internal.Workers;
import io.github.dl4jretention.loss.LossPath;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.TokenBatch;
import java.util.Arrays;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Stream;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/**
 * Projection, loss and gradients together, a chunk of tokens at a time, on CPU in FLOAT. Logits, probabilities and
 * their gradients never exist for the whole minibatch: beside its inputs and outputs it holds {@code O(chunk V)}
 * numbers. Two runs on one machine give the same bits.
 *
 * <p>The projection is {@code Z = W^T H^T} in place of {@code H W}, so that a token's logits lie side by side. The
 * vocabulary is cut into parts, each with its own memory, whose products run at the same time. Without weights the
 * input is the logits.
 */
public final class FusedLoss implements LossPath {

    /** Logits that are held at once, 4 MB; four times as many were a tenth faster, a quarter two fifths slower. */
    private static final int CHUNK_ELEMENTS = 1 << 20;

    /** Token ids of a part of weights in half precision. */
    private static final int NARROW_PART = 2048;

    /** Each chunk widens such weights once more: twice as many tokens. */
    private static final int NARROW_CHUNK = 128;

    /** Fewer tokens make matrix products slow. */
    private static final int SHORTEST_CHUNK = 64;

    private final @Nullable INDArray weights;
    private final @Nullable INDArray bias;

    /** D {@code [nIn, rank]} of an adapter beside W. */
    private final @Nullable INDArray down;

    /** U {@code [rank, V]}. */
    private final @Nullable INDArray up;

    private final double lowRankScale;
    private final int vocabulary;
    private final int chunk;
    private final int parts;

    /** Threads that share the parts, each a run of them. */
    private final int shares;

    /** Of a chunk, and then their gradients, for each part of the vocabulary {@code [part's classes, tokens]}. */
    private final INDArray[] logits;

    private final FloatMemory[] rows;

    /** Of each thread's parts; the first one's go where the sum does. */
    private final INDArray[] inputGradients;

    /** Whether the weights are in half precision, and frozen. */
    private final boolean narrow;

    /** A part of such weights, for each thread. */
    private final INDArray[] widened;

    /** {@code scale D^T H [rank, tokens]} of a chunk. */
    private final @Nullable INDArray lowRank;

    /** Its gradient, of each thread's parts of the vocabulary. */
    private final INDArray[] lowRankGradients;

    private final FusedToken[] workers;
    private final float[] biases;

    /** Of chunks of labels that can't be read in place. */
    private final BatchMemory labels = new BatchMemory();

    /**
     * @param configuration the loss
     * @param parameters    W and b, and D and U of an adapter, FLOAT; or none: the input is the logits. W that is frozen
     *     may be FLOAT16 or BFLOAT16
     * @param vocabulary    V
     * @param lowRankScale  of the adapter
     */
    public FusedLoss(
            RetentionConfiguration configuration,
            Map<String, INDArray> parameters,
            long vocabulary,
            double lowRankScale) {
        this(configuration, parameters, (int) vocabulary, lowRankScale, 0, Workers.ofMachine());
    }

    /** @param chunk tokens at a time; 0 for as many as suit the memory */
    FusedLoss(
            RetentionConfiguration configuration,
            Map<String, INDArray> parameters,
            int vocabulary,
            double lowRankScale,
            int chunk,
            Workers threads) {
        weights = parameters.get(DefaultParamInitializer.WEIGHT_KEY);
        bias = parameters.get(DefaultParamInitializer.BIAS_KEY);
        down = parameters.get(DOWN);
        up = parameters.get(UP);
        this.lowRankScale = lowRankScale;
        this.vocabulary = vocabulary;
        narrow = weights != null && weights.dataType() != DataType.FLOAT;
        this.chunk = chunk > 0
                ? chunk
                : Math.max(
                        narrow ? NARROW_CHUNK : SHORTEST_CHUNK,
                        tokens(weights, vocabulary, threads.products(), CHUNK_ELEMENTS));
        int least = narrow ? Math.max(threads.products(), vocabulary / NARROW_PART) : threads.products();
        parts = weights == null ? 1 : Math.min(least, vocabulary);
        shares = Math.min(threads.products(), parts);
        logits = new INDArray[parts];
        rows = new FloatMemory[parts];
        inputGradients = new INDArray[shares];
        long width = weights == null ? 0 : weights.size(0);
        long rank = down == null ? 0 : down.size(1);
        try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces()) {
            for (int part = 0; part < parts; part++) {
                logits[part] = matrix(width(part), this.chunk);
                rows[part] = FloatMemory.of(logits[part]);
            }
            widened = matrices(narrow ? shares : 0, width, vocabulary / parts + 1);
            lowRank = down == null ? null : matrix(rank, this.chunk);
            lowRankGradients = matrices(down == null ? 0 : shares, rank, this.chunk);
        }
        biases = new float[bias == null ? 0 : vocabulary];
        workers = new FusedToken[threads.rows()];
        Arrays.setAll(workers, worker -> new FusedToken(configuration, vocabulary));
    }

    /**
     * As many tokens as the elements allow, for logits and, four times as large at most, for the gradients with respect
     * to the input, one for each part but the first.
     */
    static int tokens(@Nullable INDArray weights, int vocabulary, int parts, int elements) {
        long gradients = weights == null ? 0 : weights.size(0) * (Math.min(parts, vocabulary) - 1L) / 4;
        return (int) (elements / Math.max(vocabulary, gradients));
    }

    /**
     * {@return why a layer can't have it, words that follow "because"; null if it can}
     *
     * @param dataType of the network
     */
    public static @Nullable String obstacle(DataType dataType) {
        if (!Nd4j.getEnvironment().isCPU()) {
            return "the backend is " + Nd4j.getBackend().getClass().getSimpleName();
        }
        return dataType == DataType.FLOAT ? null : "the network's data type is " + dataType;
    }

    @Override
    public void forward(INDArray input, TokenBatch batch) {
        run(batch, input, Map.of(), null);
    }

    @Override
    public INDArray backprop(
            INDArray input, TokenBatch batch, Map<String, INDArray> gradients, LayerWorkspaceMgr workspaceMgr) {
        INDArray back = workspaceMgr.createUninitialized(ArrayType.ACTIVATION_GRAD, DataType.FLOAT, input.shape());
        run(batch, input, gradients, back);
        if (gradients.containsKey(DefaultParamInitializer.BIAS_KEY)) {
            setBiasGradient(gradients.get(DefaultParamInitializer.BIAS_KEY));
        }
        return back;
    }

    @Override
    public void activate(INDArray input, boolean logarithm, INDArray output) {
        try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces()) {
            float[] biases = biases();
            INDArray rows = rows(input);
            INDArray columns = rows.transpose();
            int tokens = (int) input.size(0);
            FloatMemory written = FloatMemory.ofRows(output);
            for (int start = 0; start < tokens; start += chunk) {
                int first = start;
                int end = Math.min(start + chunk, tokens);
                project(columns(columns, start, end));
                ofWorkers(start, end, (worker, token) -> {
                    readLogits(token - first, worker.logits());
                    written.put(written.row(token), worker.activations(biases, logarithm), 0, vocabulary);
                });
            }
            free(rows, input);
        }
    }

    /** @param back gradient of the input, to be set; null to compute losses only */
    private void run(TokenBatch batch, INDArray input, Map<String, INDArray> gradients, @Nullable INDArray back) {
        try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces()) {
            float[] biases = biases();
            for (FusedToken worker : workers) {
                worker.start();
            }
            INDArray rows = rows(input);
            INDArray columns = rows.transpose();
            for (int start = 0; start < batch.size(); ) {
                int first = start;
                int end = batch.rows().chunkEnd(start, chunk);
                INDArray chunkInput = columns(columns, start, end);
                project(chunkInput);
                batch.rows().prepare(start, end, labels);
                ofWorkers(start, end, (worker, token) -> {
                    if (batch.counts(token)) {
                        readLogits(token - first, worker.logits());
                    }
                    float[] gradient = worker.losses(batch, token, biases, back != null);
                    if (back != null) {
                        writeGradients(token - first, gradient);
                    }
                });
                if (back != null) {
                    INDArray chunkBack = columns(back.transpose(), start, end);
                    projectBack(chunkInput, gradients, start > 0, chunkBack);
                }
                start = end;
            }
            free(rows, input);
        } finally {
            batch.rows().release();
        }
    }

    /** In Java's memory, with nothing native that would wait for a garbage collection at every step. */
    private float @Nullable [] biases() {
        if (bias == null) {
            return null;
        }
        INDArray read = bias.dataType() == DataType.FLOAT && dense(bias)
                ? bias
                : Nd4j.createUninitialized(DataType.FLOAT, bias.shape()).assign(bias);
        FloatMemory.of(read).get(0, biases, 0, vocabulary);
        free(read, bias);
        return biases;
    }

    private static boolean dense(INDArray row) {
        return row.length() == 1 || row.stride(row.rank() - 1) == 1;
    }

    /** What a worker does with a token. */
    private interface Work {
        void accept(FusedToken worker, int token);
    }

    private void ofWorkers(int start, int end, Work work) {
        Workers.split(end - start, Math.min(workers.length, end - start), (worker, from, to) -> {
            for (int token = start + from; token < start + to; token++) {
                work.accept(workers[worker], token);
            }
        });
    }

    /** Rows {@code [tokens, nIn]} in 'c' order, whose columns are in 'f' order. */
    private static INDArray rows(INDArray input) {
        return input.ordering() == 'c' ? input : input.dup('c');
    }

    private static void free(INDArray read, INDArray given) {
        if (read != given) {
            read.close();
        }
    }

    private void setBiasGradient(INDArray gradient) {
        float[] sum = workers[0].biasGradient();
        for (int i = 1; i < workers.length; i++) {
            FusedLoops.add(1, workers[i].biasGradient(), sum, vocabulary);
        }
        if (dense(gradient)) {
            FloatMemory.of(gradient).put(0, sum, 0, vocabulary);
        } else {
            try (INDArray dense = Nd4j.createFromArray(sum)) {
                gradient.assign(dense.reshape(gradient.shape()));
            }
        }
    }

    /**
     * Computes the logits of a chunk.
     *
     * @param input {@code [nIn, tokens]}, 'f' order
     */
    private void project(INDArray input) {
        if (weights == null) {
            first(logits[0], input.size(1)).assign(input);
            return;
        }
        INDArray low = lowRank == null ? null : first(lowRank, input.size(1));
        if (low != null) {
            Nd4j.gemm(down, input, low, true, false, lowRankScale, 0);
        }
        ofParts((share, part, isFirst, ofPart) -> {
            INDArray result = first(logits[part], input.size(1));
            if (input.size(1) == 1) {
                // A token at a time, as in generation: gemm would copy all weights into its own layout first.
                INDArray rows = ofPart.transpose();
                Nd4j.getBlasWrapper().level2().gemv('f', 'N', 1, rows, input, 0, result);
            } else {
                Nd4j.gemm(ofPart, input, result, true, false, 1, 0);
            }
            if (low != null && up != null) {
                Nd4j.gemm(ofPart(up, part), low, result, true, false, 1, 1);
            }
        });
    }

    /** What is done with a part of the weights, and whether it's the first that the thread has. */
    private interface PartWork {
        void accept(int share, int part, boolean isFirst, INDArray weights);
    }

    /** Of weights in half precision there are many parts, each widened where its thread has widened the one before. */
    private void ofParts(PartWork work) {
        INDArray all = Objects.requireNonNull(weights);
        Workers.split(parts, shares, (share, from, to) -> {
            for (int part = from; part < to; part++) {
                INDArray given = ofPart(all, part);
                INDArray ofPart = narrow ? first(widened[share], width(part)).assign(given) : given;
                work.accept(share, part, part == from, ofPart);
            }
        });
    }

    /**
     * From the gradients of a chunk's logits computes those of the weights and of the input.
     *
     * @param input         {@code [nIn, tokens]}, 'f' order
     * @param gradients     of those parameters that have one, 'f' order
     * @param add           whether to add to them, or to set them
     * @param inputGradient {@code [nIn, tokens]}, 'f' order, to be set
     */
    private void projectBack(INDArray input, Map<String, INDArray> gradients, boolean add, INDArray inputGradient) {
        INDArray weightGradients = gradients.get(DefaultParamInitializer.WEIGHT_KEY);
        long tokens = input.size(1);
        if (weights == null) {
            inputGradient.assign(first(logits[0], tokens));
            return;
        }
        // Not before they are needed: a teacher never goes backward.
        for (int share = 1; share < shares && inputGradients[share] == null; share++) {
            inputGradients[share] = matrix(weights.size(0), chunk);
        }
        ofParts((share, part, isFirst, ofPart) -> {
            INDArray delta = first(logits[part], tokens);
            if (weightGradients != null) {
                Nd4j.gemm(input, delta, ofPart(weightGradients, part), false, true, 1, add ? 1 : 0);
            }
            int more = isFirst ? 0 : 1;
            INDArray result = share == 0 ? inputGradient : first(inputGradients[share], tokens);
            Nd4j.gemm(ofPart, delta, result, false, false, 1, more);
            if (lowRank != null && up != null) {
                INDArray low = first(lowRank, tokens);
                Nd4j.gemm(
                        low,
                        delta,
                        ofPart(Objects.requireNonNull(gradients.get(UP)), part),
                        false,
                        true,
                        1,
                        add ? 1 : 0);
                INDArray lowGradient = first(lowRankGradients[share], tokens);
                Nd4j.gemm(ofPart(up, part), delta, lowGradient, false, false, lowRankScale, more);
            }
        });
        addInputGradients((int) tokens, inputGradient);
        if (down != null) {
            INDArray lowGradient = first(lowRankGradients[0], tokens);
            for (int share = 1; share < shares; share++) {
                lowGradient.addi(first(lowRankGradients[share], tokens));
            }
            Nd4j.gemm(input, lowGradient, gradients.get(DOWN), false, true, 1, add ? 1 : 0);
            Nd4j.gemm(down, lowGradient, inputGradient, false, false, 1, 1);
        }
    }

    /** Each thread adds up what all have of some tokens. */
    private void addInputGradients(int tokens, INDArray sum) {
        int runs = shares == 1 ? 1 : Math.min(workers.length, tokens);
        Workers.split(tokens, runs, (run, from, to) -> {
            for (int share = 1; share < shares; share++) {
                columns(sum, from, to).addi(columns(inputGradients[share], from, to));
            }
        });
    }

    private void readLogits(int token, float[] row) {
        for (int part = 0; part < parts; part++) {
            rows[part].get((long) token * width(part), row, from(part), width(part));
        }
    }

    /** In the place of the token's logits. */
    private void writeGradients(int token, float[] row) {
        for (int part = 0; part < parts; part++) {
            rows[part].put((long) token * width(part), row, from(part), width(part));
        }
    }

    private int from(int part) {
        return Workers.start(vocabulary, parts, part);
    }

    private int width(int part) {
        return from(part + 1) - from(part);
    }

    private INDArray ofPart(INDArray array, int part) {
        return columns(array, from(part), from(part + 1));
    }

    private static INDArray columns(INDArray array, long from, long to) {
        return array.get(NDArrayIndex.all(), NDArrayIndex.interval(from, to));
    }

    private static INDArray matrix(long rows, long columns) {
        return Nd4j.createUninitialized(DataType.FLOAT, new long[] {rows, columns}, 'f');
    }

    private static INDArray[] matrices(int count, long rows, long columns) {
        return Stream.generate(() -> matrix(rows, columns)).limit(count).toArray(INDArray[]::new);
    }

    private static INDArray first(INDArray array, long tokens) {
        return array.size(1) == tokens ? array : columns(array, 0, tokens);
    }
}
