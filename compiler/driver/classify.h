/* Classifying pictures, a batch at once, with a trained model: for predict, run and samples. */
#ifndef CVM_DRIVER_CLASSIFY_H
#define CVM_DRIVER_CLASSIFY_H

#include "compiler/driver/session.h"
#include "runtime/preparation.h"

enum { CVM_MAX_GUESSES = 100, CVM_GUESSES = 5 /* unless --top says otherwise */ };

typedef struct CvmClassifier {
    CvmSession *session;
    CvmInstance *instance;
    CvmPool *pool;
    CvmNormalization normalization;
    CvmPreparation preparation;
    int batch; /* pictures at once */
    int classes;
    int top; /* how many classes to tell, at most `classes` */
} CvmClassifier;

typedef struct CvmGuess {
    int label;
    float probability;
} CvmGuess;

/* The likeliest classes, likeliest first; equal ones in the order of the labels. */
typedef struct CvmGuesses {
    CvmGuess best[CVM_MAX_GUESSES];
    int count;
} CvmGuesses;

/* With the weights of options->checkpoint and its normalization, or with those of options->weights
 * and the normalization that the predict block states, or the train, or unit, or, where trained is
 * not NULL, with those in the store and that normalization. */
bool cvm_classifier_open(CvmSession *session, const CvmNormalization *trained, int batch,
                         CvmClassifier *classifier);

/* Classifies `count` pictures, `batch` at most: pixels [c, h, w] of the model's input each, or
 * NULL, which gives results that mean nothing. */
void cvm_classify(const CvmClassifier *classifier, const uint8_t *const *pixels, int count);

/* The results of one of them, from then until the next time; logits: one for each class. */
CvmGuesses cvm_classified(const CvmClassifier *classifier, int index);
const float *cvm_classified_logits(const CvmClassifier *classifier, int index);

/* How pictures from files become the model's input: scaled and cropped as the predict block or the
 * data say, normalized as the block or the train state (whose pictures are read if they must be).
 */
CvmPreparation cvm_session_preparation(const CvmSession *session);
bool cvm_session_stated_normalization(CvmSession *session, CvmNormalization *normalization);

#endif
