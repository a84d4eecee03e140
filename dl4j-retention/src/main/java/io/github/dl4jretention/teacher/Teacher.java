package io.github.dl4jretention.teacher;

import java.util.Objects;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.layers.BaseOutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.activations.impl.ActivationIdentity;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.ops.transforms.Transforms;

/**
 * A frozen copy of a network, asked for the log-probabilities that a student is held near. It never trains: it has no
 * updater state and no gradients, runs in inference mode (dropout off), and shares nothing with the network that it was
 * made of. Safe for use by several threads, one at a time.
 */
public final class Teacher {

    private final MultiLayerNetwork network;
    private final String sha256;
    private final long vocabulary;
    private final int classAxis;

    private Teacher(MultiLayerNetwork network, String sha256, long vocabulary, int classAxis) {
        this.network = network;
        this.sha256 = sha256;
        this.vocabulary = vocabulary;
        this.classAxis = classAxis;
    }

    /**
     * Copies a network as it is now.
     *
     * @param pretrained a network that ends in softmax cross-entropy, see {@link SoftmaxOutput}; a student must be
     *     detached first
     * @throws IllegalArgumentException if its last layer is another one
     */
    public static Teacher of(MultiLayerNetwork pretrained) {
        Objects.requireNonNull(pretrained, "pretrained");
        BaseOutputLayer output = SoftmaxOutput.require(pretrained);
        MultiLayerConfiguration conf = pretrained.getLayerWiseConfigurations().clone();
        // With identity in place of softmax the network's output is its logits: no probability ever underflows.
        ((BaseOutputLayer) conf.getConf(pretrained.getnLayers() - 1).getLayer())
                .setActivationFn(new ActivationIdentity());
        MultiLayerNetwork copy = new MultiLayerNetwork(conf);
        copy.init(pretrained.params().dup(), false);
        boolean timeBeforeClasses = output instanceof RnnOutputLayer rnn && rnn.getRnnDataFormat() == RNNFormat.NWC;
        return new Teacher(copy, NetworkIdentity.sha256(pretrained), output.getNOut(), timeBeforeClasses ? 2 : 1);
    }

    /** SHA-256 of its architecture and parameters, see {@link NetworkIdentity}. */
    public String sha256() {
        return sha256;
    }

    /** Number of classes. */
    public long vocabulary() {
        return vocabulary;
    }

    /** The axis of its output on which the classes lie: 1, or 2 for sequences in NWC layout. */
    public int classAxis() {
        return classAxis;
    }

    /**
     * {@code log softmax} of the network's logits, in nats, at temperature 1.
     *
     * @param features     the network's input
     * @param featuresMask its mask, or null; label masks play no part here
     * @return {@code [batch, classes]}, {@code [batch, classes, time]} or, for NWC, {@code [batch, time, classes]}; a new
     *     array outside of all workspaces
     */
    public INDArray logProbabilities(INDArray features, INDArray featuresMask) {
        try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces()) {
            INDArray logits;
            synchronized (network) {
                logits = network.output(features, false, featuresMask, null);
            }
            boolean classesLast = logits.rank() == 2 || classAxis == 2;
            INDArray ordered = classesLast ? logits : logits.permute(0, 2, 1);
            INDArray result = logSoftmax(ordered.dup('c'));
            return classesLast ? result : result.permute(0, 2, 1);
        }
    }

    /** Over the last axis, in place; M2.1's own operation gives -inf where logits are 100 apart. */
    private static INDArray logSoftmax(INDArray logits) {
        int last = logits.rank() - 1;
        logits.subi(logits.max(true, last));
        return logits.subi(Transforms.log(Transforms.exp(logits).sum(true, last), false));
    }
}
