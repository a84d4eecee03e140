package io.github.dl4jretention.lm.layers;

import static java.util.Objects.requireNonNull;

import java.util.Map;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/** The working part of {@link LowRankBlock}: the block's passes on weights to which the adapters were added. */
final class LowRankBlockRuntime extends DecoderBlockRuntime {

    private static final long serialVersionUID = 1L;

    private transient @Nullable INDArray added;
    private transient @Nullable INDArray addedGradients;

    LowRankBlockRuntime(NeuralNetConfiguration conf, DataType dataType) {
        super(conf, dataType);
    }

    private LowRankBlock adapted() {
        return (LowRankBlock) layerConf();
    }

    @Override
    DecoderBlock block() {
        return adapted().getBlock();
    }

    @Override
    INDArray weights() {
        INDArray made = added;
        if (made == null) {
            made = ofBlock();
            added = made;
        }
        return made;
    }

    private INDArray ofBlock() {
        try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces()) {
            return Nd4j.createUninitialized(dataType, 1, block().initializer().numParams(block()));
        }
    }

    @Override
    void beforePass() {
        block().views(weights()).forEach((name, view) -> {
            view.assign(paramTable.get(name));
            INDArray low = adapted().addedTo(name, paramTable);
            if (low != null) {
                view.addi(low);
            }
        });
    }

    @Override
    INDArray blockGradients() {
        INDArray made = addedGradients;
        if (made == null) {
            made = ofBlock();
            addedGradients = made;
        }
        return made;
    }

    @Override
    void afterBackward() {
        Map<String, INDArray> found = block().views(blockGradients());
        found.keySet().forEach(name -> requireNonNull(gradTable.get(name)).assign(0));
        for (String weight : adapted().getAdapted()) {
            adapted().setGradients(weight, requireNonNull(found.get(weight)), paramTable, gradTable);
        }
    }
}
