package io.github.dl4jretention.samples.benchmark;

import java.util.Arrays;
import java.util.List;
import jdk.jfr.consumer.RecordedFrame;

/** Where in a training step of DL4J a stack is: the first part, in this order, whose frames are all on it. */
public enum StepPart {
    OUTPUT("output layer, loss, its gradients", "layers.BaseOutputLayer."),
    LSTM_FORWARD_AGAIN(
            "LSTM: forward again, in backprop",
            "recurrent.LSTM.backpropGradientHelper",
            "recurrent.LSTMHelpers.activateHelper"),
    LSTM_BACKWARD("LSTM: backward", "recurrent.LSTM.backpropGradientHelper"),
    LSTM_FORWARD("LSTM: forward", "recurrent.LSTMHelpers.activateHelper"),
    BLOCKS_BACKWARD("SameDiff layers: forward again and backward", "layers.samediff.SameDiffLayer.backpropGradient"),
    BLOCKS_FORWARD("SameDiff layers: forward", "layers.samediff.SameDiffLayer.activate"),
    EMBEDDING("embedding", "embedding.EmbeddingSequenceLayer."),
    UPDATER("updater, parameters", "optimize.solvers."),
    DATA("data", "samples.benchmark.RandomTokens."),
    OTHER("other: workspaces, listeners");

    private static final String OPTIMIZER_CALLS_NETWORK = "multilayer.MultiLayerNetwork.computeGradientAndScore";

    private final String label;
    private final List<String> frames;

    StepPart(String label, String... frames) {
        this.label = label;
        this.frames = List.of(frames);
    }

    /** What it is called in tables. */
    public String label() {
        return label;
    }

    /** @param stack of the thread that trains, innermost frame first */
    public static StepPart of(List<RecordedFrame> stack) {
        List<String> names = stack.stream().map(StepPart::name).toList();
        return Arrays.stream(values())
                .filter(part -> part.matches(names))
                .findFirst()
                .orElse(OTHER);
    }

    static String name(RecordedFrame frame) {
        return frame.getMethod().getType().getName() + "." + frame.getMethod().getName();
    }

    private boolean matches(List<String> names) {
        // The optimizer is on every stack of a step; its own part is what it does not leave to the network.
        if (this == UPDATER && names.stream().anyMatch(name -> name.contains(OPTIMIZER_CALLS_NETWORK))) {
            return false;
        }
        return frames.stream().allMatch(frame -> names.stream().anyMatch(name -> name.contains(frame)));
    }
}
