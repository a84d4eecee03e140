package io.github.dl4jretention.lm.huggingface;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * A module that can have an adapter, and the weights that it is.
 *
 * @param module its name, as PEFT has it behind {@code base_model.model.}
 * @param nIn    numbers that it reads
 * @param nOut   numbers that it gives
 * @param parts  which weights give them, in their order
 */
record AdapterLayout(String module, long nIn, long nOut, List<Part> parts) {

    private static final String WEIGHT = ".weight";

    /**
     * Some of what a module gives.
     *
     * @param key  layer and weight, with a dot between
     * @param from the first of the weight's results
     * @param rows how many
     */
    record Part(String key, long from, long rows) {}

    AdapterLayout {
        parts = List.copyOf(parts);
    }

    /** Modules that are weights of a network, called by place and weight. */
    static List<AdapterLayout> of(Map<String, long[]> shapes) {
        List<AdapterLayout> layouts = new ArrayList<>();
        shapes.forEach((key, shape) ->
                layouts.add(new AdapterLayout(key, shape[0], shape[1], List.of(new Part(key, 0, shape[1])))));
        return layouts;
    }

    /** The modules of a model: what its files have weights of, but for the embeddings. */
    static List<AdapterLayout> of(ModelFolder model) {
        Architecture architecture = model.architecture();
        Decoder decoder = model.decoder();
        List<AdapterLayout> layouts = new ArrayList<>();
        String output = TensorNames.output(architecture);
        for (TensorLayout tensor : TensorNames.layouts(architecture, decoder)) {
            boolean isOutput = tensor.name().equals(output);
            boolean inBlock = tensor.pieces().get(0).layer() > 0;
            if (tensor.shape().size() == 2 && (isOutput || inBlock)) {
                List<Part> parts = new ArrayList<>();
                for (TensorLayout.Piece piece : tensor.pieces()) {
                    parts.add(new Part(piece.layer() + "." + piece.parameter(), piece.from(), piece.rows()));
                }
                String prefix = isOutput ? "" : TensorNames.prefix(architecture);
                layouts.add(new AdapterLayout(prefix + module(tensor.name()), tensor.columns(), tensor.rows(), parts));
            }
        }
        if (decoder.tied()) {
            Part all = new Part(decoder.outputLayer() + ".W", 0, decoder.vocabulary());
            layouts.add(new AdapterLayout(module(output), decoder.width(), decoder.vocabulary(), List.of(all)));
        }
        return layouts;
    }

    private static String module(String tensor) {
        return tensor.substring(0, tensor.length() - WEIGHT.length());
    }
}
