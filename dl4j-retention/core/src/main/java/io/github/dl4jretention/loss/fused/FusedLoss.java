package io.github.dl4jretention.loss.fused;

import io.github.dl4jretention.internal.Workers;
import io.github.dl4jretention.loss.LossPath;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.TokenBatch;
import java.util.Map;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

/**
 * Projection, loss and gradients together, a chunk of tokens at a time, on CPU in FLOAT. Logits, probabilities and
 * their gradients never exist for the whole minibatch: beside its inputs and outputs it holds {@code O(chunk V)}
 * numbers. Two runs on one machine give the same bits.
 */
public final class FusedLoss implements LossPath {

    /** Logits that are held at once, 4 MB; four times as many were a tenth faster, a quarter two fifths slower. */
    private static final int CHUNK_ELEMENTS = 1 << 20;

    /** Fewer tokens make matrix products slow. */
    private static final int SHORTEST_CHUNK = 64;

    private final Map<String, INDArray> parameters;
    private final int vocabulary;
    private final int chunk;
    private final FusedProjection projection;
    private final FusedToken[] workers;

    /**
     * @param configuration the loss
     * @param parameters    W and b, FLOAT; or none: the input is the logits
     * @param vocabulary    V
     */
    public FusedLoss(RetentionConfiguration configuration, Map<String, INDArray> parameters, long vocabulary) {
        this(configuration, parameters, (int) vocabulary, Workers.ofMachine());
    }

    private FusedLoss(
            RetentionConfiguration configuration, Map<String, INDArray> parameters, int vocabulary, Workers threads) {
        this(configuration, parameters, vocabulary, chunk(parameters, vocabulary, threads), threads);
    }

    /** Tokens at once. */
    static int chunk(Map<String, INDArray> parameters, int vocabulary, Workers threads) {
        INDArray weights = parameters.get(DefaultParamInitializer.WEIGHT_KEY);
        return Math.max(
                SHORTEST_CHUNK, FusedProjection.tokens(weights, vocabulary, threads.products(), CHUNK_ELEMENTS));
    }

    FusedLoss(
            RetentionConfiguration configuration,
            Map<String, INDArray> parameters,
            int vocabulary,
            int chunk,
            Workers threads) {
        this.parameters = parameters;
        this.vocabulary = vocabulary;
        this.chunk = chunk;
        try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces()) {
            projection = new FusedProjection(
                    parameters.get(DefaultParamInitializer.WEIGHT_KEY), vocabulary, chunk, threads.products());
        }
        workers = new FusedToken[threads.rows()];
        for (int i = 0; i < workers.length; i++) {
            workers[i] = new FusedToken(configuration, vocabulary);
        }
    }

    /**
     * {@return why a layer can't have it, words that follow "because"; null if it can}
     *
     * @param dataType of the network
     */
    public static String obstacle(DataType dataType) {
        if (!Nd4j.getEnvironment().isCPU()) {
            return "the backend is " + Nd4j.getBackend().getClass().getSimpleName();
        }
        return dataType == DataType.FLOAT ? null : "the network's data type is " + dataType;
    }

    @Override
    public void forward(INDArray input, TokenBatch batch) {
        run(batch, input, null, null);
    }

    @Override
    public INDArray backprop(
            INDArray input, TokenBatch batch, Map<String, INDArray> gradients, LayerWorkspaceMgr workspaceMgr) {
        INDArray back = workspaceMgr.createUninitialized(ArrayType.ACTIVATION_GRAD, DataType.FLOAT, input.shape());
        run(batch, input, gradients.get(DefaultParamInitializer.WEIGHT_KEY), back);
        if (gradients.containsKey(DefaultParamInitializer.BIAS_KEY)) {
            gradients.get(DefaultParamInitializer.BIAS_KEY).assign(biasGradient());
        }
        return back;
    }

    @Override
    public void activate(INDArray input, boolean logarithm, INDArray output) {
        try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces()) {
            float[] bias = bias();
            FloatMemory rows = new FloatMemory(output);
            INDArray columns = columns(input);
            int tokens = (int) input.size(0);
            for (int start = 0; start < tokens; start += chunk) {
                int first = start;
                int end = Math.min(start + chunk, tokens);
                projection.forward(columns.get(NDArrayIndex.all(), NDArrayIndex.interval(start, end)));
                ofWorkers(
                        start,
                        end,
                        (worker, from, to) -> worker.activations(rows, logarithm, projection, bias, first, from, to));
            }
        }
    }

    /** @param back gradient of the input, to be set; null to compute losses only */
    private void run(TokenBatch batch, INDArray input, INDArray weightGradients, INDArray back) {
        try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces()) {
            float[] bias = bias();
            for (FusedToken worker : workers) {
                worker.start();
            }
            INDArray columns = columns(input);
            for (int start = 0; start < batch.size(); ) {
                int first = start;
                int end = batch.chunkEnd(start, chunk);
                INDArray part = columns.get(NDArrayIndex.all(), NDArrayIndex.interval(start, end));
                projection.forward(part);
                batch.prepare(start, end);
                ofWorkers(
                        start,
                        end,
                        (worker, from, to) -> worker.losses(batch, projection, bias, back != null, first, from, to));
                if (back != null) {
                    INDArray partBack = columns(back).get(NDArrayIndex.all(), NDArrayIndex.interval(start, end));
                    projection.backward(part, weightGradients, start > 0, partBack);
                }
                start = end;
            }
        }
    }

    private float[] bias() {
        INDArray bias = parameters.get(DefaultParamInitializer.BIAS_KEY);
        return bias == null ? null : bias.toFloatVector();
    }

    /** What a worker does with the tokens from one to another. */
    private interface Work {
        void accept(FusedToken worker, int from, int to);
    }

    private void ofWorkers(int start, int end, Work work) {
        int parts = Math.min(workers.length, end - start);
        Workers.run(
                parts,
                part -> work.accept(
                        workers[part],
                        start + Workers.start(end - start, parts, part),
                        start + Workers.start(end - start, parts, part + 1)));
    }

    /** Rows {@code [tokens, nIn]} in 'c' order as columns {@code [nIn, tokens]} in 'f' order. */
    private static INDArray columns(INDArray rows) {
        return (rows.ordering() == 'c' ? rows : rows.dup('c')).transpose();
    }

    private INDArray biasGradient() {
        float[] sum = new float[vocabulary];
        for (FusedToken worker : workers) {
            FusedLoops.add(1, worker.biasGradient(), sum, vocabulary);
        }
        return Nd4j.createFromArray(sum).reshape(1, vocabulary);
    }
}
