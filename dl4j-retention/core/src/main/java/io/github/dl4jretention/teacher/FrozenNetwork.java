package io.github.dl4jretention.teacher;

import java.util.List;
import java.util.Map;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * A copy of a network that is only ever asked for its log-probabilities. Implementations are not safe for several
 * threads.
 */
interface FrozenNetwork {

    /** The one name under which networks have all their parameters in one vector. */
    String PARAMS = "params";

    /** SHA-256 of the network that was copied, see {@link NetworkIdentity}. */
    String sha256();

    /** The outputs that log-probabilities are given for. */
    List<TeacherOutput> outputs();

    /** Log-probabilities in inference mode, one array for each output; FLOAT for HALF networks. */
    INDArray[] logProbabilities(INDArray[] features, INDArray[] featuresMasks);

    /** The copy's own parameter arrays by name, in a fixed order: one vector "params", or the variables of a graph. */
    Map<String, INDArray> parameters();
}
